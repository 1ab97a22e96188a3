// The one client of the API, and the error that every failed call becomes.
import createClient from "openapi-fetch";
import type { Paths, Problem, ProblemError } from "@/types/api";

/** Looks `fetch` up at each call, so that a test may put its own in place. */
export const api = createClient<Paths>({
  baseUrl: window.location.origin,
  fetch: (request) => fetch(request),
});

/** A call that did not succeed. `status` is 0 when no answer came at all. */
export class ApiProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: ProblemError[];

  constructor(status: number, code: string, message: string, errors: ProblemError[] = []) {
    super(message);
    this.name = "ApiProblem";
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "code" in body && "title" in body;
}

function problemOf(status: number, body: unknown): ApiProblem {
  if (!isProblem(body)) return new ApiProblem(status, "unreadable", `The server answered ${status} without a reason.`);
  return new ApiProblem(status, body.code, body.detail || body.title, body.errors ?? []);
}

interface Outcome<Data> {
  data?: Data | undefined;
  error?: unknown;
  response: Response;
}

/** The body of a successful answer; anything else is thrown as an `ApiProblem`. */
export async function answerOf<Data>(call: Promise<Outcome<Data>>): Promise<Data> {
  let outcome: Outcome<Data>;
  try {
    outcome = await call;
  } catch {
    throw new ApiProblem(0, "unreachable", "Paceline does not answer. Is `paceline serve` still running?");
  }
  if (!outcome.response.ok) throw problemOf(outcome.response.status, outcome.error);
  return outcome.data as Data;
}

/** A sentence for a person, whatever was thrown. */
export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** True when the server wants a login. */
export function isUnauthorized(error: unknown): boolean {
  return error instanceof ApiProblem && error.status === 401;
}
