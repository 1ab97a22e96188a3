// Hidden characters are written out, terminal colours are dropped.
import { expect, it } from "vitest";
import { showHidden, showOutput } from "./visible";

it("writes out every mark that can turn a line around", () => {
  const marks = ["\u061c", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2069"];
  const text = showHidden(marks.join(""));
  expect(marks.some((mark) => text.includes(mark))).toBe(false);
  expect(showHidden("a\u202eb")).toBe("a⟨U+202E⟩b");
});

it("leaves ordinary text alone, other scripts and emoji with joiners included", () => {
  const text = "naïve שלום 👩\u200d💻\ttab\n";
  expect(showHidden(text)).toBe(text);
});

it("drops the colours of a terminal from what a tool printed", () => {
  expect(showOutput("\u001b[31mred\u001b[0m \u202e")).toBe("red ⟨U+202E⟩");
});
