// Pausing and resuming the queue on the page.
import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { HttpResponse, http } from "msw";
import { expect, it } from "vitest";
import { at } from "@/test/fixtures";
import { aQueue } from "@/test/queue-fixture";
import { renderAt } from "@/test/render";
import { problem, server, url } from "@/test/server";
import type { Queue } from "@/types/api";
import { PauseQueue } from "./pause-queue";
import { drainLine, PausedBanner } from "./paused-banner";

const show = () =>
  renderAt(
    { path: "/runs", address: "/runs" },
    <>
      <PauseQueue />
      <PausedBanner />
    </>,
  );
const PAUSED = aQueue({
  paused: true,
  paused_by: "owner",
  paused_at: at(0),
  reason: "Upgrade to 2.0",
  active_steps: 1,
  asking_steps: 2,
});

it("pauses with a reason, says who did it and what still works, and resumes", async () => {
  let queue: Queue = aQueue();
  const asked: unknown[] = [];
  server.use(
    http.get(url("/queue"), () => HttpResponse.json(queue)),
    http.post(url("/queue/pause"), async ({ request }) => {
      asked.push(await request.json());
      queue = PAUSED;
      return HttpResponse.json(queue);
    }),
    http.post(url("/queue/resume"), () => {
      queue = aQueue();
      return HttpResponse.json(queue);
    }),
  );
  show();
  await userEvent.click(await screen.findByRole("button", { name: "Pause queue" }));
  await userEvent.type(screen.getByLabelText("Reason (optional)"), " Upgrade to 2.0 ");
  await userEvent.click(screen.getAllByRole("button", { name: "Pause queue" }).at(-1) ?? expect.unreachable());
  expect(await screen.findByText(/Queue paused by owner/)).toBeInTheDocument();
  expect(asked).toEqual([{ reason: "Upgrade to 2.0" }]);
  const said = screen.getByRole("status");
  expect(said).toHaveTextContent("Upgrade to 2.0. No step begins. 1 step still at work, 2 steps waiting for a person.");
  await userEvent.click(screen.getByRole("button", { name: "Resume queue" }));
  await waitFor(() => expect(screen.queryByText(/Queue paused/)).toBeNull());
  expect(screen.getByRole("button", { name: "Pause queue" })).toBeInTheDocument();
});

it("says why it could not be resumed, and offers it again", async () => {
  server.use(
    http.get(url("/queue"), () => HttpResponse.json(PAUSED)),
    http.post(url("/queue/resume"), () => problem(503, "database_unavailable", "The database is locked.")),
  );
  show();
  await userEvent.click(await screen.findByRole("button", { name: "Resume queue" }));
  expect(await screen.findByText("The database is locked.")).toBeInTheDocument();
  expect(screen.getByRole("button", { name: "Resume queue" })).toBeEnabled();
});

it("tells a drained queue from one in which an agent is being stopped", () => {
  expect(drainLine({ ...PAUSED, active_steps: 0, asking_steps: 0, drained: true })).toBe("No agent is at work.");
  expect(drainLine({ ...PAUSED, active_steps: 0, asking_steps: 0 })).toBe("An agent is being stopped.");
});
