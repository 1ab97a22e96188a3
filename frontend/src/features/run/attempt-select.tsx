// Which attempt of a step is shown; only there when there is a choice.
import { getRouteApi } from "@tanstack/react-router";
import type { Attempt } from "@/types/api";

const route = getRouteApi("/runs/$runId");

interface AttemptSelectProps {
  attempts: Attempt[] | undefined;
  chosen: Attempt | undefined;
}

export function AttemptSelect({ attempts, chosen }: AttemptSelectProps) {
  const navigate = route.useNavigate();
  if (!attempts || attempts.length < 2 || !chosen) return null;
  const choose = (number: number) =>
    navigate({ search: (old) => ({ ...old, attempt: number }), replace: true, resetScroll: false });
  return (
    <select
      className="select"
      aria-label="Attempt"
      value={chosen.number}
      onChange={(event) => choose(Number(event.target.value))}
    >
      {attempts.map((attempt) => (
        <option key={attempt.number} value={attempt.number}>
          attempt {attempt.number} · {attempt.outcome?.replaceAll("_", " ") ?? "open"}
        </option>
      ))}
    </select>
  );
}
