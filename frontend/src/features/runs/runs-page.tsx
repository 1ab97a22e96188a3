// The list of runs: filters in the address, live rows, new runs behind a button, older ones by the page.
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { Empty, Loading, Notice } from "@/components/notice";
import { PauseQueue } from "@/features/queue/pause-queue";
import { PausedBanner } from "@/features/queue/paused-banner";
import { sentenceOf } from "@/lib/api";
import { useTitle } from "@/lib/title";
import type { RunSummary } from "@/types/api";
import { runKeys, runListOptions } from "./api";
import { EmptyRuns } from "./empty-runs";
import { unseenRuns } from "./feed";
import { lets } from "./filters";
import { RunsFilters } from "./runs-filters";
import { RunsTable } from "./runs-table";

const route = getRouteApi("/runs");

/** Runs that began since the list was read, and the way to show them. */
function useUnseen(): { unseen: RunSummary[]; show: () => void } {
  const filters = route.useSearch();
  const client = useQueryClient();
  const pages = useInfiniteQuery(runListOptions(filters)).data;
  const fresh = useQuery<RunSummary[]>({ queryKey: runKeys.fresh, queryFn: () => [], enabled: false, initialData: [] });
  return {
    unseen: unseenRuns(fresh.data, pages).filter((run) => lets(filters, run)),
    show: () => {
      client.setQueryData(runKeys.fresh, []);
      client.resetQueries({ queryKey: runKeys.list(filters) });
    },
  };
}

function Rows() {
  const filters = route.useSearch();
  const list = useInfiniteQuery(runListOptions(filters));
  if (list.isPending) return <Loading what="runs" />;
  if (list.isError) return <Empty title={sentenceOf(list.error)} />;
  const runs = list.data.pages.flatMap((page) => page.items);
  if (runs.length === 0) return <EmptyRuns filtered={Object.keys(filters).length > 0} />;
  return (
    <>
      <RunsTable runs={runs} />
      {list.hasNextPage && (
        <div className="border-t border-line p-2 text-center">
          <button
            type="button"
            className="btn btn-ghost"
            disabled={list.isFetchingNextPage}
            onClick={() => list.fetchNextPage()}
          >
            {list.isFetchingNextPage ? "Loading …" : "Older runs"}
          </button>
        </div>
      )}
    </>
  );
}

export function RunsPage() {
  useTitle("Runs");
  const { unseen, show } = useUnseen();
  const refreshFailed = useInfiniteQuery(runListOptions(route.useSearch())).isRefetchError;
  return (
    <>
      <div className="flex min-h-8 items-center justify-between gap-3">
        <h1>Runs</h1>
        <div className="flex items-center gap-2">
          <span role="status">
            {unseen.length > 0 && (
              <button type="button" className="chip" data-on onClick={show}>
                {unseen.length} new ↑
              </button>
            )}
          </span>
          <PauseQueue />
        </div>
      </div>
      <div className="mt-2 empty:hidden">
        <PausedBanner />
      </div>
      <RunsFilters />
      {refreshFailed && <Notice tone="bad">The list could not be read again; it may be old.</Notice>}
      <section className="panel" aria-label="Runs">
        <Rows />
      </section>
    </>
  );
}
