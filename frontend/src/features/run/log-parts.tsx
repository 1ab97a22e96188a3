// The pieces of a log: text, folded reasoning, tool cards that open. Live and stored output are drawn alike.
import { memo, useState } from "react";
import { Markdown } from "@/components/markdown";
import { showHidden, showOutput } from "@/lib/visible";
import type { ToolCall } from "@/types/api";
import { toolLine, toolTime } from "./tool-line";

export interface LogPart {
  kind: "text" | "reasoning" | "tool";
  text: string;
  tool: ToolCall | null;
}

function Reasoning({ text }: { text: string }) {
  const shown = showHidden(text.trim());
  return (
    <details className="think">
      <summary>{shown.split("\n", 1)[0] || "Thinking …"}</summary>
      <p className="mt-1 whitespace-pre-wrap">{shown}</p>
    </details>
  );
}

function Block({ title, text }: { title: string; text: string }) {
  return (
    <div>
      <p className="tool-head">{title}</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a block that scrolls must be reachable by keyboard. */}
      <pre className="text-block" tabIndex={0}>
        {showOutput(text)}
      </pre>
    </div>
  );
}

/** Arguments as they were given: a single text as it stands, anything else as JSON. */
function argumentsOf(tool: ToolCall): string {
  const values = Object.values(tool.input);
  return values.length === 1 && typeof values[0] === "string" ? values[0] : JSON.stringify(tool.input, null, 2);
}

function Tool({ tool, directory }: { tool: ToolCall; directory: string }) {
  const failed = tool.status === "error";
  const [chosen, setOpen] = useState<boolean>();
  const open = chosen ?? failed;
  return (
    <details
      className="tool"
      data-error={failed || undefined}
      open={open}
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary>
        <b>{tool.tool}</b>
        <span>{showOutput(toolLine(tool, directory))}</span>
        <time>{toolTime(tool)}</time>
      </summary>
      {open && (
        <div className="tool-body">
          <Block title="Input" text={argumentsOf(tool)} />
          {tool.error && <Block title="Error" text={tool.error} />}
          {tool.output && <Block title="Output" text={tool.output} />}
        </div>
      )}
    </details>
  );
}

/** One piece; redrawn only when it changed. Empty text is nothing. */
export const LogPiece = memo(function LogPiece({ part, directory }: { part: LogPart; directory: string }) {
  if (part.kind === "tool") return part.tool && <Tool tool={part.tool} directory={directory} />;
  if (part.text.trim() === "") return null;
  return part.kind === "text" ? <Markdown text={part.text} /> : <Reasoning text={part.text} />;
});
