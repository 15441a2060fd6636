import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import test from "node:test";

import { Hub } from "../../../app/dagbook/web/static/lib/feed-hub.js";

const OK = 200;

/** A server of streams, which answers with `code`, and a hub of it. */
async function begin(t) {
  const server = createServer((request, response) => {
    const { code } = feed;
    response.writeHead(code, { "Content-Type": code === OK ? "text/event-stream" : feed.type });
    const query = new URL(request.url, "http://localhost").searchParams;
    if (code === OK) {
      response.write(": hello\n\n");
      feed.open.add(response);
      response.on("close", () => feed.open.delete(response));
    } else response.end("{}");
    feed.asked.push({ after: query.get("after"), outputs: query.getAll("output") });
    server.emit("asked");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const feed = { server, code: OK, type: "application/json", open: new Set(), asked: [] };
  feed.hub = new Hub(new URL(`http://127.0.0.1:${server.address().port}/events`));
  t.after(() => {
    feed.hub.members.clear();
    feed.hub.restart();
    server.closeAllConnections();
    server.close();
  });
  feed.send = (id, event, data) => {
    for (const response of feed.open) response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  return feed;
}

/** A page of the hub, with what it was told; `until` waits for something in it. */
function page(hub) {
  const told = [];
  let wake = () => {};
  const ask = hub.join((one) => {
    told.push(one.state ?? `${one.change.kind} ${one.change.name ?? ""}`.trim());
    wake();
  });
  const until = async (text) => {
    while (!told.includes(text)) await new Promise((resolve) => (wake = resolve));
  };
  const follow = (run = null, output = true, since = null) => ask({ kind: "follow", run, output, since });
  return { told, until, ask, follow };
}

test("pages share one stream, and each is told what it follows", async (t) => {
  const feed = await begin(t);
  const [all, one, silent] = [page(feed.hub), page(feed.hub), page(feed.hub)];
  all.follow();
  one.follow("etl/1");
  silent.follow("etl/1", false);
  await one.until("live");
  assert.equal(feed.open.size, 1);
  assert.deepEqual(feed.asked.at(-1), { after: null, outputs: ["etl/1"] });
  feed.send("1", "run", { name: "etl", dagRunId: "1" });
  feed.send("2", "run", { name: "child", dagRunId: "7", root: { name: "etl", dagRunId: "1" } });
  feed.send("3", "run", { name: "other", dagRunId: "1" });
  feed.send("4", "log", { name: "etl", dagRunId: "1" });
  feed.send("5", "dag", { name: "stored" });
  feed.send("6", "run", { name: "etl", dagRunId: "1" });
  feed.send("7", "reset", {});
  for (const each of [all, one, silent]) await each.until("reset");
  const after = (told) => told.slice(told.indexOf("live") + 1);
  assert.deepEqual(after(all.told), ["run etl", "run child", "run other", "dag stored", "run etl", "reset"]);
  assert.deepEqual(after(one.told), ["run etl", "run child", "log etl", "run etl", "reset"]);
  assert.deepEqual(after(silent.told), ["run etl", "run child", "run etl", "reset"]);
});

test("the stream goes on where it was when the output of another run is wanted", async (t) => {
  const feed = await begin(t);
  const [all, one] = [page(feed.hub), page(feed.hub)];
  all.follow();
  await all.until("live");
  feed.send("41", "dag", { name: "first" });
  await all.until("dag first");
  one.follow("etl/1");
  await once(feed.server, "asked");
  assert.deepEqual(feed.asked.at(-1), { after: "41", outputs: ["etl/1"] });
  assert.deepEqual(all.told, ["connecting", "live", "dag first"]); // a new connection is no interruption
});

test("without a page that follows there is no stream", async (t) => {
  const feed = await begin(t);
  const one = page(feed.hub);
  one.follow();
  await one.until("live");
  feed.send("41", "dag", { name: "first" });
  await one.until("dag first");
  const [response] = feed.open;
  one.ask({ kind: "leave" });
  await once(response, "close");
  one.ask({ kind: "restart" });
  assert.equal(feed.hub.stream, null);
  one.follow();
  await once(feed.server, "asked");
  assert.equal(feed.asked.at(-1).after, "41"); // what happened meanwhile comes now
  assert.ok(!one.told.includes("reset"));
});

test("a page follows from the change that its document has, whether it is the first or not", async (t) => {
  const feed = await begin(t);
  const [one, same, later] = [page(feed.hub), page(feed.hub), page(feed.hub)];
  one.follow(null, true, "40");
  await one.until("live");
  assert.equal(feed.asked.at(-1).after, "40");
  same.follow(null, true, "40");
  later.follow(null, true, "41");
  assert.deepEqual([same, later].map(({ told }) => told.includes("reset")), [false, true]);
});

test("who comes back to a stream that went on loads everything again", async (t) => {
  const feed = await begin(t);
  const [one, other] = [page(feed.hub), page(feed.hub)];
  one.follow();
  other.follow();
  await one.until("live");
  feed.send("1", "dag", { name: "first" });
  await one.until("dag first");
  one.ask({ kind: "leave" });
  one.follow();
  assert.ok(!one.told.includes("reset")); // nothing has happened
  one.ask({ kind: "leave" });
  feed.send("2", "dag", { name: "second" });
  await other.until("dag second");
  one.follow();
  assert.ok(one.told.includes("reset"));
});

test("a session that has ended is said once, and nothing is asked until a page follows again", async (t) => {
  const feed = await begin(t);
  feed.code = 401;
  const one = page(feed.hub);
  one.follow();
  await one.until("out");
  assert.equal(feed.hub.stream, null);
  feed.code = OK;
  one.follow();
  await one.until("live");
});

test("a server that refuses is not away, a proxy without a server is, and both are asked again", async (t) => {
  const feed = await begin(t);
  feed.code = 503;
  const one = page(feed.hub);
  one.follow();
  await one.until("off");
  feed.type = "text/html";
  one.told.length = 0;
  one.ask({ kind: "hurry" });
  await one.until("connecting");
  feed.code = OK;
  one.ask({ kind: "hurry" });
  await one.until("live");
});
