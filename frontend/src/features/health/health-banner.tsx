// One line above every page while something that runs depend on does not work: Paceline, its database, OpenCode.
import { useQuery } from "@tanstack/react-query";
import { Notice } from "@/components/notice";
import { showHidden } from "@/lib/visible";
import { connectionOptions, healthOptions, opencodeOptions } from "./api";

/** Why nothing new can be stored or begin; the most fundamental reason alone. */
function useTrouble(): { tone: "bad" | "wait"; text: string } | null {
  const connection = useQuery(connectionOptions).data;
  const health = useQuery(healthOptions).data;
  const opencode = useQuery(opencodeOptions).data;
  if (connection === "lost") {
    return { tone: "bad", text: "Paceline does not answer. What you see may be old; the page keeps trying." };
  }
  if (health?.database === "unavailable") {
    const reason = health.reason ?? "The database does not answer.";
    return { tone: "bad", text: `${reason} Nothing is lost: runs wait, and go on when it works again.` };
  }
  if (opencode && opencode.state !== "ready") {
    const word = opencode.state === "starting" ? "is starting" : `is ${opencode.state}`;
    return { tone: "wait", text: `OpenCode ${word}: runs wait for it. ${opencode.detail ?? ""}`.trim() };
  }
  return null;
}

export function HealthBanner() {
  const trouble = useTrouble();
  if (!trouble) return null;
  return (
    <div className="mb-3">
      <Notice tone={trouble.tone}>{showHidden(trouble.text)}</Notice>
    </div>
  );
}
