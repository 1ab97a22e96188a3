// What an agent wrote is text and never more than text.
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";
import { aTool } from "@/test/fixtures";
import { LogPiece } from "./log-parts";

const show = (text: string, kind: "text" | "reasoning" = "text") =>
  render(<LogPiece part={{ kind, text, tool: null }} directory="/w" />).container;

describe("text", () => {
  it("shows HTML as the text it is and makes nothing of it", () => {
    const page = show("before <img src=x onerror=alert(1)> after\n\n<script>alert(1)</script>\n\n<b>bold</b>");
    expect(page.querySelector("img, script, b")).toBeNull();
    expect(page).toHaveTextContent("before <img src=x onerror=alert(1)> after <script>alert(1)</script> <b>bold</b>");
  });

  it("loads no picture and follows no script address", () => {
    const page = show("![cat](http://other.example/cat.png) [x](javascript:alert(1)) [y](https://ok.example)");
    expect(page.querySelector("img")).toBeNull();
    expect(page).toHaveTextContent("[picture: cat, http://other.example/cat.png]");
    expect([...page.querySelectorAll("a")].map((link) => link.getAttribute("href") ?? "")).toEqual([
      "",
      "https://ok.example",
    ]);
  });

  it("writes out marks that turn a line around, in code too", () => {
    expect(show("a \u202eb `c\u2066d`")).toHaveTextContent("a ⟨U+202E⟩b c⟨U+2066⟩d");
  });

  it("makes no headings of the page", () => {
    const page = show("# Big\n\n## What was done");
    expect(page.querySelector("h1, h2")).toBeNull();
    expect(page).toHaveTextContent("What was done");
  });

  it("is nothing when there is none", () => {
    expect(show(" \n")).toBeEmptyDOMElement();
  });
});

it("folds reasoning behind its first line", async () => {
  show("First thought\nsecond thought", "reasoning");
  const folded = screen.getByText("First thought").closest("details");
  expect(folded).not.toHaveAttribute("open");
});

describe("a tool card", () => {
  const card = (change: Parameters<typeof aTool>[0]) => {
    render(<LogPiece part={{ kind: "tool", text: "", tool: aTool(change) }} directory="/w" />);
    return screen.getByText("bash").closest("details");
  };

  it("is closed, and opens to input and output", async () => {
    const details = card({});
    expect(details).not.toHaveAttribute("open");
    expect(screen.queryByText("1 passed")).toBeNull();
    await userEvent.click(screen.getByText("bash"));
    expect(await screen.findByText("1 passed")).toBeInTheDocument();
  });

  it("is open when the call failed, and says why in its line", () => {
    expect(card({ status: "error", error: "exit 1\nE assert" })).toHaveAttribute("open");
    expect(screen.getByText("pytest -q tests/login → exit 1")).toBeInTheDocument();
  });
});
