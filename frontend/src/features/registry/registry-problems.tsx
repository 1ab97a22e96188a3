// Says that the registry's files hold mistakes, and where; the last good version stays in use meanwhile.
import { useQuery } from "@tanstack/react-query";
import { Notice } from "@/components/notice";
import { showHidden } from "@/lib/visible";
import type { RegistryProblem } from "@/types/api";
import { problemsOptions } from "./api";

/** `agents.yaml, line 3, column 5`. */
export function placeOf({ file, line, column }: RegistryProblem): string {
  return [file, line !== null && `line ${line}`, column !== null && `column ${column}`].filter(Boolean).join(", ");
}

export function RegistryProblems() {
  const problems = useQuery(problemsOptions).data ?? [];
  if (problems.length === 0) return null;
  return (
    <Notice tone="bad">
      <p>The registry on disk cannot be used; the last good version is.</p>
      <ul className="mt-1 grid gap-1">
        {problems.map((problem) => (
          <li key={`${placeOf(problem)} ${problem.message}`}>
            <code className="mono">{placeOf(problem)}</code>: {showHidden(problem.message)}
          </li>
        ))}
      </ul>
    </Notice>
  );
}
