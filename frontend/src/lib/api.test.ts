// What a failed call becomes.
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import { problem, server, url } from "@/test/server";
import { type ApiProblem, answerOf, api, isUnauthorized } from "./api";

const read = () => answerOf(api.GET("/pipelines/{pipeline_id}", { params: { path: { pipeline_id: 1 } } }));

async function failure(): Promise<ApiProblem> {
  return read().then(
    () => expect.unreachable("the call should fail"),
    (error) => error,
  );
}

it("carries the server's code, sentence and places", async () => {
  const errors = [{ pointer: "/branch", message: "No such branch." }];
  server.use(http.get(url("/pipelines/1"), () => problem(422, "unknown_branch", "There is no branch x.", errors)));
  expect(await failure()).toMatchObject({
    status: 422,
    code: "unknown_branch",
    message: "There is no branch x.",
    errors,
  });
});

it("says in plain words that nobody answers", async () => {
  server.use(http.get(url("/pipelines/1"), () => HttpResponse.error()));
  expect(await failure()).toMatchObject({ status: 0, code: "unreachable" });
});

it("copes with an answer that is no problem document", async () => {
  server.use(http.get(url("/pipelines/1"), () => HttpResponse.text("Bad gateway", { status: 502 })));
  expect(await failure()).toMatchObject({ status: 502, message: "The server answered 502 without a reason." });
});

it("tells a missing login from any other refusal", async () => {
  server.use(http.get(url("/pipelines/1"), () => problem(401, "unauthorized", "Log in.")));
  expect(isUnauthorized(await failure())).toBe(true);
  server.use(http.get(url("/pipelines/1"), () => problem(403, "forbidden_origin", "No.")));
  expect(isUnauthorized(await failure())).toBe(false);
});
