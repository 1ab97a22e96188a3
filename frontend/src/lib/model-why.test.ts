// The model chip: what ran, and why it is this one.
import { describe, expect, it } from "vitest";
import { aStep } from "@/test/fixtures";
import { modelWhy, splitModel } from "./model-why";

describe("modelWhy", () => {
  it.each([
    ["run", "this run"],
    ["custom_step", "own step"],
    ["template", "template"],
    ["agent", "agent default"],
    ["opencode", "OpenCode default"],
  ] as const)("says that a model came from %s as “%s”", (model_origin, why) => {
    expect(modelWhy(aStep({ model: "openai/gpt-5.2", model_origin })).why).toBe(why);
  });

  it("shows what ran rather than what was asked, without alarm when a bare name was resolved to it", () => {
    const chip = modelWhy(
      aStep({ model: "gpt-5.2", resolved_model: "openai/gpt-5.2", used_model: "openai/gpt-5.2", model_origin: "run" }),
    );
    expect(chip).toMatchObject({ provider: "openai/", name: "gpt-5.2", mismatch: false, why: "this run" });
    expect(chip.sentence).toBe("Asked for gpt-5.2 (this run); openai/gpt-5.2 ran.");
  });

  it("names the model that was asked for when another one ran", () => {
    const chip = modelWhy(
      aStep({ model: "a/big", resolved_model: "a/big", used_model: "a/small", model_origin: "agent" }),
    );
    expect(chip).toMatchObject({ provider: "a/", name: "small", mismatch: true, why: "asked a/big" });
  });

  it("takes a bare name that was never resolved for the model of any provider with that id", () => {
    expect(modelWhy(aStep({ model: "gpt-4o", used_model: "openai/gpt-4o" })).mismatch).toBe(false);
    expect(modelWhy(aStep({ model: "gpt-4o", used_model: "openai/gpt-4" })).mismatch).toBe(true);
  });

  it("knows no name before OpenCode's default ran, and says what it was afterwards", () => {
    expect(modelWhy(aStep())).toMatchObject({ name: null, why: "OpenCode default", mismatch: false });
    expect(modelWhy(aStep({ used_model: "x/y" }))).toMatchObject({ provider: "x/", name: "y", mismatch: false });
  });
});

it("splits a reference at its first slash, as model ids may hold more", () => {
  expect(splitModel("openrouter/meta/llama")).toEqual({ provider: "openrouter/", name: "meta/llama" });
  expect(splitModel("gpt-4o")).toEqual({ provider: null, name: "gpt-4o" });
});
