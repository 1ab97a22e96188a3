// How times, money and tokens are written.
import { describe, expect, it } from "vitest";
import { at, NO_TOKENS, NOW } from "@/test/fixtures";
import {
  ago,
  baseName,
  clock,
  count,
  dollars,
  duration,
  elapsed,
  exactDollars,
  ordinal,
  plural,
  shortSpan,
  tokensIn,
} from "./format";

describe("durations", () => {
  it.each([
    [0, "0:00"],
    [44_999, "0:44"],
    [221_000, "3:41"],
    [3_723_000, "1:02:03"],
    [-5, "0:00"],
  ])("writes %d ms as %s", (milliseconds, text) => {
    expect(duration(milliseconds)).toBe(text);
  });

  it("counts an open stretch up to now and a closed one to its end", () => {
    expect(elapsed(at(0), null, Date.parse(at(10)))).toBe(10_000);
    expect(elapsed(at(0), at(4), NOW)).toBe(4_000);
    expect(elapsed(null, null, NOW)).toBeUndefined();
  });

  it("writes a tool call's length in tenths of a second, and a long one as a duration", () => {
    expect(shortSpan(6_240)).toBe("6.2 s");
    expect(shortSpan(125_000)).toBe("2:05");
  });
});

describe("moments", () => {
  it.each([
    [20, "just now"],
    [4 * 60, "4 min ago"],
    [3 * 3600, "3 h ago"],
    [30 * 3600, "yesterday"],
    [6 * 24 * 3600, "6 days ago"],
  ])("%d seconds back is %s", (seconds, text) => {
    expect(ago(new Date(NOW - seconds * 1000).toISOString(), NOW)).toBe(text);
  });

  it("puts the date before the time on another day only", () => {
    expect(clock(NOW, NOW)).toMatch(/^\d\d:\d\d$/);
    expect(clock(NOW - 48 * 3_600_000, NOW)).toMatch(/^2026-11-2\d \d\d:\d\d$/);
  });
});

describe("numbers", () => {
  it("never writes a known cost as a false 0", () => {
    expect(dollars(0.004)).toBe("<$0.01");
    expect(dollars(0)).toBe("$0.00");
    expect(dollars(1.9)).toBe("$1.90");
    expect([0, 0.25, 2, 0.0042, 0.00002, 1.00421].map(exactDollars)).toEqual([
      "$0.00",
      "$0.25",
      "$2.00",
      "$0.0042",
      "$0.00002",
      "$1.0042",
    ]);
  });

  it("shortens counts without rounding up to 1000k", () => {
    expect(count(940)).toBe("940");
    expect(count(48_200)).toBe("48.2k");
    expect(count(999_960)).toBe("1.0M");
  });

  it("counts cached tokens as read", () => {
    expect(tokensIn({ ...NO_TOKENS, input: 1, cache_read: 2, cache_write: 4 })).toBe(7);
  });

  it("knows the teens", () => {
    expect([1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal)).toEqual([
      "1st",
      "2nd",
      "3rd",
      "4th",
      "11th",
      "12th",
      "13th",
      "21st",
      "112th",
    ]);
    expect([plural(1, "file"), plural(0, "file")]).toEqual(["1 file", "0 files"]);
    expect([baseName("/a/b/"), baseName("/")]).toEqual(["b", "/"]);
  });
});
