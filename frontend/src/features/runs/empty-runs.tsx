// An empty list of runs: what to do next, here and on the command line.
import { Link } from "@tanstack/react-router";
import { Empty } from "@/components/notice";

export function EmptyRuns({ filtered }: { filtered: boolean }) {
  if (filtered) {
    return (
      <Empty title="No run passes these filters.">
        <Link to="/runs" search={{}} className="btn">
          Show all runs
        </Link>
      </Empty>
    );
  }
  return (
    <Empty title="No run yet.">
      <p>Give a template a task, and watch its agents work.</p>
      <Link to="/new" className="btn btn-primary">
        New run
      </Link>
      <p className="mt-2 text-ink-3">or from a shell, in the directory to work in:</p>
      <code className="mono rounded-field bg-code px-2 py-1 text-ink">paceline run quick_fix -C . "…"</code>
    </Empty>
  );
}
