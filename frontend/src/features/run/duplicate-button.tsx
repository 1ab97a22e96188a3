// Makes a new run from this one (the same task, steps and models) and goes there.
import { useNavigate } from "@tanstack/react-router";
import { Notice } from "@/components/notice";
import { sentenceOf } from "@/lib/api";
import { useDuplicate } from "./decide";

export function DuplicateButton({ id }: { id: number }) {
  const navigate = useNavigate();
  const duplicate = useDuplicate(id);
  const start = () =>
    duplicate.mutate(undefined, {
      onSuccess: (run) => navigate({ to: "/runs/$runId", params: { runId: String(run.id) } }),
    });
  return (
    <>
      <button
        type="button"
        className="btn btn-ghost"
        title="Start a new run with the same task, steps and models"
        disabled={duplicate.isPending}
        onClick={start}
      >
        {duplicate.isPending ? "Duplicating …" : "Duplicate"}
      </button>
      {duplicate.isError && (
        <div className="order-last basis-full">
          <Notice tone="bad">{sentenceOf(duplicate.error)}</Notice>
        </div>
      )}
    </>
  );
}
