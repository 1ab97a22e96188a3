// The task, its title, and where the run works.
import { useQuery } from "@tanstack/react-query";
import type { KeyboardEvent } from "react";
import { AboutLimits } from "@/components/limits";
import { recentRunsOptions } from "@/features/runs/api";
import { plural } from "@/lib/format";
import { conflictsOptions } from "./api";
import { type Draft, titleFrom } from "./draft";
import type { FieldErrors } from "./field-errors";
import { FieldRow } from "./field-row";
import { useSettled } from "./use-settled";

interface TaskFieldsProps {
  draft: Draft;
  errors: FieldErrors["fields"];
  onChange: (change: Partial<Draft>) => void;
  onSubmit: () => void;
}

const PAUSE_MS = 500;

/** Says when a new run would have to wait for the directory. */
function DirectoryHint({ directory }: { directory: string }) {
  const conflicts = useQuery(conflictsOptions(useSettled(directory.trim(), PAUSE_MS)));
  const waiting = conflicts.data?.items.length ?? 0;
  if (directory.trim() === "")
    return "Empty: a new workspace of its own. (The command line takes its current directory.)";
  return waiting > 0 ? `${plural(waiting, "run")} on it now; this one waits its turn.` : null;
}

function Directory({ draft, errors, onChange }: TaskFieldsProps) {
  const recent = useQuery(recentRunsOptions).data?.items ?? [];
  return (
    <>
      <FieldRow
        label="Directory"
        className="min-w-[200px] flex-[2]"
        error={errors.directory}
        onTake={(directory) => onChange({ directory })}
        hint={<DirectoryHint directory={draft.directory} />}
      >
        <input
          className="field mono"
          list="recent-directories"
          spellCheck={false}
          placeholder="/path/to/repository"
          value={draft.directory}
          onChange={(event) => onChange({ directory: event.target.value })}
        />
      </FieldRow>
      <datalist id="recent-directories">
        {[...new Set(recent.map((run) => run.working_dir))].map((directory) => (
          <option key={directory} value={directory} />
        ))}
      </datalist>
    </>
  );
}

function Place(props: TaskFieldsProps) {
  const { draft, errors, onChange } = props;
  return (
    <div className="flex flex-wrap gap-2.5">
      <Directory {...props} />
      <FieldRow
        label="Branch"
        className="min-w-[160px] flex-1"
        error={errors.branch}
        onTake={(branch) => onChange({ branch })}
        hint="Empty: whichever is checked out."
      >
        <input
          className="field mono"
          spellCheck={false}
          placeholder="main"
          value={draft.branch}
          onChange={(event) => onChange({ branch: event.target.value })}
        />
      </FieldRow>
    </div>
  );
}

export function TaskFields(props: TaskFieldsProps) {
  const { draft, errors, onChange, onSubmit } = props;
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) onSubmit();
  };
  return (
    <div className="panel grid gap-3 p-4">
      <FieldRow label="Task" error={errors.prompt}>
        <textarea
          className="field"
          rows={5}
          placeholder="What is to be done, and how one can tell that it is done."
          value={draft.prompt}
          onChange={(event) => onChange({ prompt: event.target.value })}
          onKeyDown={onKey}
        />
      </FieldRow>
      <FieldRow label="Title" error={errors.title}>
        <input
          className="field"
          placeholder={titleFrom(draft.prompt) || "the first line of the task"}
          value={draft.title}
          onChange={(event) => onChange({ title: event.target.value })}
        />
      </FieldRow>
      <Place {...props} />
      <small>
        Agents work there as you: their permissions are no sandbox, and tools may run twice after a crash.{" "}
        <AboutLimits />
      </small>
    </div>
  );
}
