// The API as a test's mock server: a set of answers that a whole page needs; a test puts its own in front.
import { HttpResponse, http } from "msw";
import { setupServer } from "msw/node";
import { AGENTS, aDiff, aModel, aRun, HEALTH, SERVER_HEALTH, TEMPLATES } from "./fixtures";
import { aQueue } from "./queue-fixture";

/** The address of a path on the page's own origin. */
export function url(path: string): string {
  return `${window.location.origin}${path}`;
}

/** A refusal as the server words it. */
export function problem(status: number, code: string, detail: string, errors: object[] = []) {
  return HttpResponse.json({ type: `/docs/errors#${code}`, title: code, status, code, detail, errors }, { status });
}

export const server = setupServer(
  http.get(url("/health"), () => HttpResponse.json(SERVER_HEALTH)),
  http.get(url("/queue"), () => HttpResponse.json(aQueue())),
  http.get(url("/health/opencode"), () => HttpResponse.json(HEALTH)),
  http.get(url("/registry/pipelines"), () => HttpResponse.json({ items: TEMPLATES, next_cursor: null })),
  http.get(url("/registry/agents"), () => HttpResponse.json({ items: AGENTS, next_cursor: null })),
  http.get(url("/registry/status"), () => HttpResponse.json({ problems: [] })),
  http.get(url("/models"), () => HttpResponse.json({ items: [aModel()], default: "openai/gpt-5.2" })),
  http.get(url("/pipelines/conflicts"), () => HttpResponse.json({ real_path: "/x", items: [] })),
  http.get(url("/pipelines"), () => HttpResponse.json({ items: [], next_cursor: null })),
  http.get(url("/pipelines/:id"), () => HttpResponse.json(aRun())),
  http.get(url("/audit"), () => HttpResponse.json({ items: [], next_cursor: null })),
  http.get(url("/pipelines/:id/diff"), () => HttpResponse.json(aDiff())),
  http.get(url("/pipelines/:id/steps/:step/attempts"), () => HttpResponse.json({ items: [] })),
);
