// Descriptions of common cron expressions in words. Pure.

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const NUMBER = /^\d+$/;

/**
 * "every 5 minutes", "every day at 03:00"; empty for other expressions. Times are in the schedule's zone.
 * @param {string} expression
 */
export function cronText(expression) {
  const parts = expression.replace(/^(CRON_)?TZ=\S+\s+/, "").trim().split(/\s+/);
  if (parts.length !== 5) return "";
  const [minute, hour, day, month, weekday] = parts;
  if (day !== "*" || month !== "*") return "";
  if (hour === "*") return weekday === "*" ? withinHour(minute) : "";
  if (!NUMBER.test(minute) || !NUMBER.test(hour)) return "";
  const at = `at ${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`;
  if (weekday === "*") return `every day ${at}`;
  return NUMBER.test(weekday) && DAYS[Number(weekday)] ? `every ${DAYS[Number(weekday)]} ${at}` : "";
}

/** @param {string} minute */
function withinHour(minute) {
  if (minute === "*") return "every minute";
  if (NUMBER.test(minute)) return `every hour at :${minute.padStart(2, "0")}`;
  const step = Number(/^\*\/(\d+)$/.exec(minute)?.[1] ?? 0);
  return step > 1 && 60 % step === 0 ? `every ${step} minutes` : "";
}
