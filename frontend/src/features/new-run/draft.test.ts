// The form's draft, the request and the command made of it.
import { describe, expect, it } from "vitest";
import { TEMPLATES } from "@/test/fixtures";
import { commandOf, quote } from "./cli";
import { type Draft, draftFrom, dropDraft, EMPTY_DRAFT, loadDraft, requestOf, saveDraft, titleFrom } from "./draft";

const steps = TEMPLATES[0]?.steps ?? [];
const draft: Draft = {
  template: "quick_fix",
  title: "",
  prompt: "Fix the login.\nIt fails.",
  directory: " /src/web shop ",
  branch: "main",
  models: { 0: "openai/gpt-5.2", 1: "a/gate", 2: " ", 9: "a/none" },
};

describe("a draft", () => {
  it("survives a reload, and is gone once dropped", () => {
    saveDraft(draft);
    expect(loadDraft()).toEqual(draft);
    dropDraft();
    expect(loadDraft()).toEqual(EMPTY_DRAFT);
  });

  it("is not kept when there is nothing to miss", () => {
    saveDraft({ ...EMPTY_DRAFT, template: "quick_fix" });
    expect(localStorage).toHaveLength(0);
  });

  it.each([undefined, null, 7, "x", [], { models: { x: "a/b", 1: 5 }, prompt: 3 }])(
    "reads %j as an empty one",
    (stored) => {
      expect(draftFrom(stored)).toEqual(EMPTY_DRAFT);
    },
  );
});

describe("what is sent", () => {
  it("takes a title from the task, trims places, and gives models to agent steps only", () => {
    expect(requestOf(draft, steps)).toEqual({
      template: "quick_fix",
      title: "Fix the login.",
      prompt: draft.prompt,
      branch: "main",
      working_dir: "/src/web shop",
      step_models: { 0: "openai/gpt-5.2" },
    });
  });

  it("leaves out what is empty", () => {
    const request = requestOf({ ...EMPTY_DRAFT, template: "issue_only", title: "T", prompt: "p" }, steps);
    expect(request).toEqual({ template: "issue_only", title: "T", prompt: "p" });
  });

  it("cuts a long first line at a word", () => {
    const title = titleFrom(`${"word ".repeat(30)}\nmore`);
    expect(title.length).toBeLessThanOrEqual(82);
    expect(title.endsWith("word …")).toBe(true);
    expect(titleFrom("  \n")).toBe("");
  });
});

describe("the command", () => {
  it("is the same run, with steps counted from 1", () => {
    expect(commandOf(draft, steps)).toBe(
      "paceline run quick_fix 'Fix the login.\nIt fails.' -C '/src/web shop' --branch main -m 1=openai/gpt-5.2",
    );
  });

  it("quotes so that a shell takes the argument as it is", () => {
    expect(quote("it's $HOME `x`")).toBe(`'it'\\''s $HOME \`x\`'`);
    expect(quote("")).toBe("''");
    expect(quote("a/b-c_1.2:3@x")).toBe("a/b-c_1.2:3@x");
  });
});
