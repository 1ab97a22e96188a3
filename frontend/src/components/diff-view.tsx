// A unified diff as files that open and close; large ones start closed.
import { useMemo, useState } from "react";
import { Decoration, Diff, type FileData, Hunk, parseDiff } from "react-diff-view";
import { showHidden } from "@/lib/visible";

const OPEN_UP_TO_LINES = 400;

// How OpenCode begins the diff of the one file that it is about to change.
const OF_ONE_FILE = /^(?:Index: .*\n=+\n)?--- ([^\t\n]+).*\n\+\+\+ ([^\t\n]+).*\n/;

/** Git's header in place of OpenCode's: the parser knows no other. Paths lose their first slash, as in Git. */
function asGit(text: string): string {
  return text.replace(OF_ONE_FILE, (_, before: string, after: string) => {
    const [a, b] = [`a/${before.replace(/^\//, "")}`, `b/${after.replace(/^\//, "")}`];
    return `diff --git ${a} ${b}\nindex 1111111..2222222 100644\n--- ${a}\n+++ ${b}\n`;
  });
}

/** Reads a diff; an unreadable one has no files, and is then shown as the text it is. */
export function filesOf(text: string): FileData[] {
  try {
    return parseDiff(showHidden(asGit(text))).filter((file) => file.newPath || file.oldPath);
  } catch {
    return [];
  }
}

function countChanges(file: FileData) {
  const changes = file.hunks.flatMap((hunk) => hunk.changes);
  return {
    lines: changes.length,
    added: changes.filter((change) => change.type === "insert").length,
    removed: changes.filter((change) => change.type === "delete").length,
  };
}

function nameOf(file: FileData): string {
  if (file.type === "delete") return `${file.oldPath} (deleted)`;
  if (file.type === "add") return `${file.newPath} (new)`;
  return file.type === "modify" ? file.newPath : `${file.oldPath} → ${file.newPath}`;
}

function FileBody({ file }: { file: FileData }) {
  if (file.isBinary || file.hunks.length === 0) return <p className="px-3 py-2 text-ink-3">No lines to show.</p>;
  return (
    <Diff diffType={file.type} hunks={file.hunks} viewType="unified">
      {(hunks) =>
        hunks.flatMap((hunk) => [
          <Decoration key={`at ${hunk.content}`}>{hunk.content}</Decoration>,
          <Hunk key={hunk.content} hunk={hunk} />,
        ])
      }
    </Diff>
  );
}

function DiffFile({ file }: { file: FileData }) {
  const { lines, added, removed } = useMemo(() => countChanges(file), [file]);
  const [open, setOpen] = useState(lines <= OPEN_UP_TO_LINES);
  return (
    <details className="diff-file" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <b>{nameOf(file)}</b>
        {added > 0 && <span className="plus">+{added}</span>}
        {removed > 0 && <span className="minus">−{removed}</span>}
      </summary>
      {open && <FileBody file={file} />}
    </details>
  );
}

/** All files of a diff. */
export function DiffView({ text }: { text: string }) {
  const files = useMemo(() => filesOf(text), [text]);
  if (files.length === 0) return <pre className="text-block">{showHidden(text)}</pre>;
  return (
    <div className="grid gap-2.5">
      {files.map((file) => (
        <DiffFile key={`${file.oldPath} ${file.newPath}`} file={file} />
      ))}
    </div>
  );
}
