// Two lines at the foot of the side bar: OpenCode, and whether the page is live.
import { useQuery } from "@tanstack/react-query";
import type { Connection } from "@/lib/event-stream";
import { plural } from "@/lib/format";
import type { OpencodeHealth } from "@/types/api";
import { connectionOptions, opencodeOptions } from "./api";

type LampTone = "ok" | "wait" | "bad";

interface Line {
  tone: LampTone;
  text: string;
  /** Left out where there is little room. */
  more?: string;
}

function opencodeLine(health: OpencodeHealth | undefined): Line {
  if (!health) return { tone: "wait", text: "OpenCode: asking …" };
  if (health.state === "ready") {
    const more = ` · ${plural(health.providers.length, "provider")}`;
    return { tone: "ok", text: `OpenCode ${health.version ?? "of unknown version"}`, more };
  }
  return { tone: health.state === "starting" ? "wait" : "bad", text: `OpenCode ${health.state}` };
}

const LIVE: Record<Connection, Line> = {
  connecting: { tone: "wait", text: "connecting …" },
  live: { tone: "ok", text: "live" },
  lost: { tone: "bad", text: "connection lost, trying again" },
};

function Lamp({ tone, text, more, title }: Line & { title?: string | undefined }) {
  return (
    <span className="side-foot-line" title={title}>
      <span className="lamp" data-tone={tone} aria-hidden="true" />
      <span>
        {text}
        {more && <span className="wide-only">{more}</span>}
      </span>
    </span>
  );
}

/** Both lines; a change of either is read out. */
export function Lamps() {
  const health = useQuery(opencodeOptions);
  const connection = useQuery(connectionOptions);
  const opencode = opencodeLine(health.data);
  const providers = health.data?.providers.join(", ");
  return (
    <div role="status" className="contents">
      <Lamp {...opencode} title={health.data?.detail ?? (providers || undefined)} />
      <Lamp {...LIVE[connection.data]} />
    </div>
  );
}
