// Editor of definitions: marks the server's problems, and completes and explains keys from the schema.

import { html, useEffect, useRef } from "../vendor/core.js";
import { get } from "../lib/api.js";
import { pathAt, propertiesAt } from "../lib/schema.js";

/** @import { Schema } from "../../types/ui" */
/** @import { EditorState, EditorView } from "../vendor/editor.js" */
/** @typedef {typeof import("../vendor/editor.js")} Library */
/** @typedef {EditorState["doc"]} Text */
/** @typedef {NonNullable<NonNullable<Parameters<Library["autocompletion"]>[0]>["override"]>[number]} Completer */
/** @typedef {{ line: number, column?: number }} Place */
/** @typedef {Place & { message: string }} Problem */
/** @typedef {{ library: Library, view: EditorView }} Opened */

/** @type {Promise<Schema | null> | null} */
let schema = null;
/** The schema of definitions, for the first key that is completed or explained; null while it cannot be loaded. */
const loadSchema = () => (schema ??= get("schemas/dag").catch(() => (schema = null)));

/**
 * `value` is the initial text.
 * The cursor moves to `place` whenever that is a new object.
 * A shadow root isolates the library's styles and complies with the content security policy.
 * @param {{ value: string, onChange: (value: string) => void, problems: Problem[], place?: Place | null,
 *   readOnly?: boolean, label: string }} props
 */
export function Editor({ value, onChange, problems, place = null, readOnly = false, label }) {
  const host = useRef(/** @type {HTMLDivElement | null} */ (null));
  const editor = useRef(/** @type {Opened | null} */ (null));
  const latest = useRef({ onChange, problems, place });
  latest.current = { onChange, problems, place };
  useEffect(() => {
    let closed = false;
    import("../vendor/editor.js").then((library) => {
      if (closed || !host.current) return;
      editor.current = { library, view: make(library, host.current, { value, readOnly, label, latest }) };
      mark(editor.current, latest.current.problems);
      goTo(editor.current, latest.current.place);
    });
    return () => {
      closed = true;
      editor.current?.view.destroy();
    };
  }, []);
  useEffect(() => {
    if (editor.current) mark(editor.current, problems);
  }, [problems]);
  useEffect(() => {
    if (editor.current) goTo(editor.current, place);
  }, [place]);
  return html`<div class="editor" ref=${host}></div>`;
}

/**
 * @param {Library} library
 * @param {HTMLElement} host
 * @param {{ value: string, readOnly?: boolean, label: string,
 *   latest: { current: { onChange: (text: string) => void } } }} options
 */
function make(library, host, { value, readOnly, label, latest }) {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const { EditorView, EditorState, keymap } = library;
  const extensions = [
    library.lineNumbers(),
    library.foldGutter(),
    library.history(),
    library.drawSelection(),
    library.indentOnInput(),
    library.bracketMatching(),
    library.highlightActiveLine(),
    library.highlightSelectionMatches(),
    library.lintGutter(),
    library.indentUnit.of("  "),
    library.yaml(),
    library.syntaxHighlighting(colours(library)),
    library.autocompletion({ override: [complete] }),
    library.hoverTooltip(explain),
    keymap.of([...library.defaultKeymap, ...library.historyKeymap, ...library.searchKeymap, ...library.foldKeymap,
      ...library.completionKeymap, ...library.lintKeymap]),
    // The attribute tells checkers that its scrolling area can be reached by keys.
    EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
    EditorState.readOnly.of(readOnly ?? false),
    theme(EditorView),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) latest.current.onChange(update.state.doc.toString());
    }),
  ];
  return new EditorView({ state: EditorState.create({ doc: value, extensions }), parent: root, root });
}

/** @param {Library["EditorView"]} EditorView */
function theme(EditorView) {
  return EditorView.theme({
    "&": { height: "100%", backgroundColor: "var(--card)", color: "var(--text)", fontSize: "13px" },
    ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5" },
    ".cm-gutters": { backgroundColor: "var(--sunk)", color: "var(--faint)", border: "0" },
    ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--accent) 8%, transparent)" },
    ".cm-cursor": { borderLeftColor: "var(--text)" },
    "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": {
      backgroundColor: "color-mix(in srgb, var(--accent) 30%, transparent) !important",
    },
    ".cm-tooltip": { backgroundColor: "var(--card)", color: "var(--text)", border: "1px solid var(--line)",
      maxWidth: "32rem" },
    ".cm-panels": { backgroundColor: "var(--sunk)", color: "var(--text)" },
  });
}

/** @param {{ HighlightStyle: Library["HighlightStyle"], tags: Library["tags"] }} library */
function colours({ HighlightStyle, tags }) {
  return HighlightStyle.define([
    { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--link)" },
    { tag: tags.string, color: "var(--good)" },
    { tag: [tags.number, tags.bool, tags.null], color: "var(--mixed)" },
    { tag: tags.comment, color: "var(--faint)", fontStyle: "italic" },
    { tag: [tags.keyword, tags.meta], color: "var(--wait)" },
  ]);
}

/** The keys allowed on a line below those around it. @param {Text} text @param {number} line @param {number} indent */
async function keysAt(text, line, indent) {
  const known = await loadSchema();
  return known ? propertiesAt(known, pathAt(text.toString().split("\n"), line - 1, indent)) : {};
}

/** Completion of the keys allowed at the cursor. @param {Parameters<Completer>[0]} context */
async function complete(context) {
  const line = context.state.doc.lineAt(context.pos);
  const before = line.text.slice(0, context.pos - line.from);
  const match = /^(\s*(?:- +)*)([\w-]*)$/.exec(before);
  if (!match || (!match[2] && !context.explicit)) return null;
  const keys = await keysAt(context.state.doc, line.number, match[1].length);
  const options = Object.entries(keys).map(([label, { description }]) =>
    ({ label, type: "property", info: description, apply: `${label}: ` }));
  return { from: context.pos - match[2].length, options, validFor: /^[\w-]*$/ };
}

/** Tooltip with the description of a key. @param {EditorView} view @param {number} position */
async function explain(view, position) {
  const line = view.state.doc.lineAt(position);
  const match = /^(\s*(?:- +)*)([\w-]+)\s*:/.exec(line.text);
  if (!match || position > line.from + match[1].length + match[2].length) return null;
  const about = (await keysAt(view.state.doc, line.number, match[1].length))[match[2]]?.description;
  if (!about) return null;
  const dom = document.createElement("div");
  dom.textContent = `${match[2]}: ${about}`;
  return { pos: line.from + match[1].length, create: () => ({ dom }) };
}

/** @param {{ library: Library, view: EditorView }} props @param {Problem[]} problems */
function mark({ library, view }, problems) {
  const { doc } = view.state;
  const severity = /** @type {const} */ ("error");
  const diagnostics = problems.map((problem) => ({ ...positionOf(doc, problem), severity, message: problem.message }));
  view.dispatch(library.setDiagnostics(view.state, diagnostics));
}

/** @param {{ library: Library, view: EditorView }} props @param {Place | null} place */
function goTo({ library, view }, place) {
  if (!place) return;
  const { from } = positionOf(view.state.doc, place);
  view.dispatch({ selection: { anchor: from }, effects: library.EditorView.scrollIntoView(from, { y: "center" }) });
  view.focus();
}

/**
 * The offset of a line and column in a text; its end when there is no such line.
 * @param {Text} doc
 * @param {{ line: number, column?: number }} place
 */
function positionOf(doc, { line, column = 1 }) {
  const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
  return { from: Math.min(at.from + Math.max(column - 1, 0), at.to), to: at.to };
}

/** Parse the server's problems, "[3:5] steps[0].name: …", with their positions. @param {string[]} errors */
export function placesOf(errors) {
  return errors.map((text) => {
    const [, line = 1, column = 1, message = text] = /^\[(\d+):(\d+)\] (.*)$/s.exec(text) ?? [];
    return { line: Number(line), column: Number(column), message };
  });
}
