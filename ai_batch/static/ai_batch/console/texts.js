// What the page says, in its language: English is the key, the server sent the words along.
const root = document.getElementById("console");
const texts = JSON.parse(root.dataset.texts);
/** What the server knows better: states, those of an end, endpoints. */
export const lists = JSON.parse(root.dataset.lists);
export const language = document.documentElement.lang;

/** The text in the page's language, with what stands in braces put in. */
export function t(text, words = {}) {
  const said = texts[text] ?? text;
  return said.replace(/\{(\w+)\}/g, (whole, name) => (name in words ? words[name] : whole));
}

const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

/** A number as people of the page's language write it. */
export const number = (value) => whole.format(value);

/** Dollars, with as many digits as small amounts need. */
export function dollars(value) {
  const amount = Number(value);
  const digits = amount !== 0 && amount < 0.01 ? 6 : 2;
  const form = { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: digits };
  return new Intl.NumberFormat(language, form).format(amount);
}

/** A moment that was told in seconds since 1970. */
export const moment = (seconds) => moments.format(new Date(seconds * 1000));

/** When a day of the calendar (and `days` after it) begins here, in seconds since 1970. */
export function dayStart(day, days = 0) {
  const [year, month, date] = day.split("-").map(Number);
  return Math.floor(new Date(year, month - 1, date + days) / 1000);
}

/** A number of seconds in the largest unit that says it well. */
export function duration(seconds) {
  const [value, unit] = seconds < 90 ? [seconds, "second"]
    : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  const form = { style: "unit", unit, unitDisplay: "long" };
  return new Intl.NumberFormat(language, form).format(Math.max(1, Math.round(value)));
}

/** A state of a batch in words. */
export const state = (status) => t(`status.${status}`);
