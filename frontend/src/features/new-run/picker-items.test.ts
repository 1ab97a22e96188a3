// The model picker's list, what a step inherits, and the way of refusals to their fields.
import { describe, expect, it } from "vitest";
import { ApiProblem } from "@/lib/api";
import { AGENTS, aModel, TEMPLATES } from "@/test/fixtures";
import { fieldErrors, fieldOf } from "./field-errors";
import { inherited, rowModel } from "./inherit";
import { contextOf, pickGroups, priceOf } from "./picker-items";

const inherit = { ref: null, label: "Inherit", note: "" };
const opus = aModel();
const sonnet = aModel({ ref: "anthropic/claude-sonnet-4-5", id: "claude-sonnet-4-5", name: "Claude Sonnet 4.5" });
const qwen = aModel({
  ref: "ollama/qwen3-coder:30b",
  provider: "ollama",
  id: "qwen3-coder:30b",
  name: "Qwen3",
  kind: "local",
});
const gemini = aModel({
  ref: "google/gemini",
  provider: "google",
  id: "gemini",
  name: "G",
  connected: false,
  reason: "no key",
});
const models = [gemini, opus, sonnet, qwen];

const refs = (query: string) =>
  pickGroups(models, query, inherit).flatMap((group) => group.items.map((item) => item.ref));

describe("the picker", () => {
  it("begins with inherit, groups by provider, and puts what cannot be used last, disabled, with the reason", () => {
    const groups = pickGroups(models, "", inherit);
    expect(groups.map((group) => group.label)).toEqual([
      "",
      "anthropic · your key",
      "ollama · local, stays on this machine",
      "google · not connected: no key",
    ]);
    expect(groups[0]?.items).toEqual([inherit]);
    expect(groups.at(-1)?.items[0]?.disabled).toBe(true);
  });

  it.each([
    ["opus", opus.ref],
    ["ollama coder", qwen.ref],
    ["clsonnet", sonnet.ref],
    ["QWEN", qwen.ref],
  ])("finds by %j first %s", (query, ref) => {
    expect(refs(query)[0]).toBe(ref);
  });

  it("offers the text as it was typed unless the list has exactly that", () => {
    expect(refs("acme/new-model").at(-1)).toBe("acme/new-model");
    expect(refs("claude-opus-4-5")).not.toContain("claude-opus-4-5");
    expect(refs(opus.ref).filter((ref) => ref === opus.ref)).toHaveLength(1);
  });

  it("cuts a very long list and says so", () => {
    const many = Array.from({ length: 200 }, (_, index) => aModel({ ref: `p/m${index}`, id: `m${index}` }));
    const groups = pickGroups(many, "", inherit);
    expect(groups.flatMap((group) => group.items)).toHaveLength(81);
    expect(groups.at(-1)?.label).toBe("120 more: type to narrow the list");
  });

  it("writes prices and context only as far as they are known", () => {
    expect(priceOf(opus)).toBe("$5 / $25");
    expect(priceOf(aModel({ price_input: 0, price_output: 0 }))).toBe("free");
    expect(priceOf(aModel({ price_input: null }))).toBe("");
    expect([contextOf(opus), contextOf(aModel({ context: 1_050_000 })), contextOf(aModel({ context: null }))]).toEqual([
      "200k",
      "1.1M",
      "",
    ]);
  });
});

describe("what a step inherits", () => {
  const [first, gate, last] = TEMPLATES[0]?.steps ?? [];
  const issue = TEMPLATES[1]?.steps[0];
  if (!first || !gate || !last || !issue) throw new Error("the templates of the fixtures have changed");

  it("is the template's model, else the agent's, else OpenCode's default", () => {
    expect(inherited(first, AGENTS, "x/y")).toEqual({ model: "anthropic/claude-opus-4-5", why: "template" });
    expect(inherited(last, AGENTS, "x/y")).toEqual({ model: "openai/gpt-5.2", why: "agent default" });
    expect(inherited(issue, AGENTS, "x/y")).toEqual({ model: "x/y", why: "OpenCode default" });
    expect(inherited(gate, AGENTS, "x/y").model).toBeNull();
  });

  it("is shown until something is chosen here", () => {
    const from = inherited(last, AGENTS, null);
    expect(rowModel(undefined, from)).toEqual({ provider: "openai/", name: "gpt-5.2", why: "inherit: agent default" });
    expect(rowModel("a/b", from)).toEqual({ provider: "a/", name: "b", why: "chosen here" });
  });
});

describe("refusals", () => {
  const of = (...pointers: string[]) =>
    fieldErrors(
      new ApiProblem(
        422,
        "x",
        "all of it",
        pointers.map((pointer) => ({ pointer, message: pointer })),
      ),
    );

  it.each([
    ["/step_models/2", "model 2"],
    ["/step_models/10", "model 10"],
    ["/working_dir", "directory"],
    ["/branch", "branch"],
    ["/prompt", "prompt"],
    ["/title", "title"],
    ["/template", "template"],
  ])("%s belongs to %s", (pointer, field) => {
    expect(fieldOf(pointer)).toBe(field);
  });

  it("go to their fields, the first of each, and the rest is not lost", () => {
    const { fields, rest } = of("/branch", "/step_models/0", "/nowhere");
    expect(Object.keys(fields)).toEqual(["branch", "model 0"]);
    expect(rest).toBe("/nowhere");
    expect(of("/branch").rest).toBeNull();
  });

  it("without a place are shown whole, and no error shows nothing", () => {
    expect(of()).toEqual({ fields: {}, rest: "all of it" });
    expect(fieldErrors(null)).toEqual({ fields: {}, rest: null });
  });
});
