// What Paceline cannot take away: tools that run twice, and agents that are not confined.
import { Dialog } from "./dialog";

export function LimitsDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()} title="What Paceline cannot promise">
      <div className="mt-3 grid gap-2 text-ink-2">
        <h3 className="font-semibold text-ink">Tools may run twice</h3>
        <p>
          A step whose success is stored never runs again. But when OpenCode itself dies while an agent works, the same
          prompt is sent again, and what its tools did before (a file, a commit, a call to another system) may be done a
          second time. The attempt then says so. A restart leaves the files as they are, too.
        </p>
        <h3 className="mt-1.5 font-semibold text-ink">Permissions are no sandbox</h3>
        <p>
          Rules keep an agent from doing by mistake what nobody wanted. They do not confine it: one allowed command can
          read and change whatever your user can, whatever the rules say about other tools. For a border that holds, run
          Paceline in a container or as another user, with keys of its own.
        </p>
        <p className="text-ink-3">
          More in <code className="mono">docs/permissions.md</code> and in “What is promised, and what is not” of the
          README.
        </p>
      </div>
      <button type="button" className="btn mt-4" onClick={onClose}>
        Close
      </button>
    </Dialog>
  );
}
