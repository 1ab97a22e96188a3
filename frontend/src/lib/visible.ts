// Makes characters visible that would change how a line reads without being seen, and drops terminal colours.

// Bidirectional controls (they can show text in another order than it runs) and invisible joiners used the same way.
const HIDDEN = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours begin with the escape character.
const TERMINAL = /\u001b\[[0-9;?]*[A-Za-z]/g;

/** `text` with each hidden control written out, such as `⟨U+202E⟩`. */
export function showHidden(text: string): string {
  return text.replace(HIDDEN, (mark) => `⟨U+${mark.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** What a tool printed, without terminal colours and with hidden controls written out. */
export function showOutput(text: string): string {
  return showHidden(text.replace(TERMINAL, ""));
}
