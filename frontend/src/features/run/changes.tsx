// What the agents of a run changed in its directory, as a diff against the commit that the run began with.
import { useQuery } from "@tanstack/react-query";
import { DiffView } from "@/components/diff-view";
import { Loading, Notice } from "@/components/notice";
import { diffOptions } from "@/features/runs/api";
import { sentenceOf } from "@/lib/api";
import { plural } from "@/lib/format";
import type { Diff, Run } from "@/types/api";

const RENEW_MS = 5_000;

/** The diff; read again now and then while an agent may be writing. At a gate it stays what the reader began with. */
export function useDiff(run: Run) {
  const changes = run.status === "running" || run.status === "waiting_for_input";
  return useQuery({ ...diffOptions(run.id), refetchInterval: changes ? RENEW_MS : false });
}

/** `2 files +31 −9`. */
export function DiffCounts({ diff }: { diff: Diff }) {
  return (
    <>
      {plural(diff.files, "file")} <span className="plus">+{diff.additions}</span>{" "}
      <span className="minus">−{diff.deletions}</span>
    </>
  );
}

/** The diff itself, or why there is none. */
export function Changes({ run }: { run: Run }) {
  const diff = useDiff(run);
  if (diff.isPending) return <Loading what="the changes" />;
  if (diff.isError) return <Notice tone="bad">{sentenceOf(diff.error)}</Notice>;
  if (!diff.data.available) return <p className="text-ink-3">{diff.data.reason ?? "There is no diff."}</p>;
  if (diff.data.text === "") return <p className="text-ink-3">Nothing has changed.</p>;
  return (
    <>
      {diff.data.truncated && <Notice tone="wait">The diff is too long to be shown whole; it ends early.</Notice>}
      <DiffView text={diff.data.text} />
    </>
  );
}
