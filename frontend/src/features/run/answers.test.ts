// Answers to the questions of an agent.
import { describe, expect, it } from "vitest";
import type { Question } from "@/types/api";
import { answersOf, choose, NO_ANSWER, typeOwn } from "./answers";

const one: Question = { question: "Which?", header: "", options: [], multiple: false, custom: true };
const many: Question = { ...one, multiple: true };

describe("a single choice", () => {
  it("is replaced by another option and by one's own text", () => {
    const a = choose(one, NO_ANSWER, "a");
    expect(choose(one, a, "b")).toEqual({ chosen: ["b"], own: "" });
    expect(typeOwn(one, a, "mine")).toEqual({ chosen: [], own: "mine" });
    expect(choose(one, typeOwn(one, a, "mine"), "b")).toEqual({ chosen: ["b"], own: "" });
  });
});

describe("a choice of several", () => {
  it("takes options in and out, and keeps them beside one's own text", () => {
    const both = choose(many, choose(many, NO_ANSWER, "a"), "b");
    expect(both.chosen).toEqual(["a", "b"]);
    expect(choose(many, both, "a").chosen).toEqual(["b"]);
    expect(typeOwn(many, both, "c")).toEqual({ chosen: ["a", "b"], own: "c" });
  });
});

it("answers with a list for each question, and only when each has one", () => {
  expect(answersOf([one, many], { 0: { chosen: [], own: " mine " }, 1: { chosen: ["a"], own: "b" } })).toEqual([
    ["mine"],
    ["a", "b"],
  ]);
  expect(answersOf([one, many], { 0: { chosen: ["a"], own: "" } })).toBeNull();
  expect(answersOf([one], { 0: { chosen: [], own: "  " } })).toBeNull();
});
