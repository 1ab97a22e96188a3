// How times, money, tokens and names are written, everywhere the same.
import type { Tokens } from "@/types/api";

const pad = (value: number) => String(value).padStart(2, "0");

/** `0:44`, `3:41`, `1:02:03`; never negative. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
}

/** Time between two moments, the second one being now while something still runs; undefined before it began. */
export function elapsed(start: string | null, end: string | null, now: number): number | undefined {
  if (start === null) return undefined;
  return (end === null ? now : Date.parse(end)) - Date.parse(start);
}

/** The length of a tool call: `0.1 s`, `6.2 s`, then as a duration. */
export function shortSpan(milliseconds: number): string {
  return milliseconds < 60_000 ? `${(Math.max(0, milliseconds) / 1000).toFixed(1)} s` : duration(milliseconds);
}

/** `just now`, `4 min ago`, `3 h ago`, `yesterday`, `6 days ago`, then the date. */
export function ago(moment: string, now: number): string {
  const minutes = Math.floor((now - Date.parse(moment)) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  const days = Math.floor(minutes / (24 * 60));
  if (days === 1) return "yesterday";
  return days < 30 ? `${days} days ago` : new Date(moment).toLocaleDateString();
}

/** `10:41` on the day of `now`, with the date before it on any other. */
export function clock(moment: string | number, now: number): string {
  const at = new Date(moment);
  const time = `${pad(at.getHours())}:${pad(at.getMinutes())}`;
  if (at.toDateString() === new Date(now).toDateString()) return time;
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${time}`;
}

/** US dollars: `$0.12`; a known but tiny cost is `<$0.01`, never a false 0. Unknown is for the caller to word. */
export function dollars(cost: number): string {
  return cost > 0 && cost < 0.01 ? "<$0.01" : `$${cost.toFixed(2)}`;
}

/** A sum in full: two to four digits after the point, more where those alone would be a false 0. */
export function exactDollars(cost: number): string {
  const text = cost > 0 && cost < 0.00005 ? cost.toFixed(10) : cost.toFixed(4);
  return `$${text.replace(/(\.\d\d\d*?)0+$/, "$1")}`;
}

/** `940`, `48.2k`, `1.3M`. */
export function count(value: number): string {
  if (value < 1000) return String(value);
  if (value < 999_950) return `${(value / 1000).toFixed(1)}k`;
  return `${(value / 1_000_000).toFixed(1)}M`;
}

/** All tokens that went into the model, from the cache or not. */
export function tokensIn(tokens: Tokens): number {
  return tokens.input + tokens.cache_read + tokens.cache_write;
}

/** All tokens that the model made. */
export function tokensOut(tokens: Tokens): number {
  return tokens.output + tokens.reasoning;
}

/** `1st`, `2nd`, `3rd`, `11th`. */
export function ordinal(value: number): string {
  const teen = value % 100 > 10 && value % 100 < 14;
  const ending = teen ? undefined : ["st", "nd", "rd"][(value % 10) - 1];
  return `${value}${ending ?? "th"}`;
}

/** `1 file`, `2 files`. */
export function plural(value: number, noun: string): string {
  return `${value} ${noun}${value === 1 ? "" : "s"}`;
}

/** The last part of a path, which is how people call a directory. */
export function baseName(path: string): string {
  return path.split("/").filter(Boolean).at(-1) ?? path;
}
