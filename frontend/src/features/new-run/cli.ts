// The same run as a command for a shell.
import type { TemplateStep } from "@/types/api";
import { type Draft, fittingModels } from "./draft";

/** One argument for a POSIX shell: as it stands when that is safe, else in single quotes. */
export function quote(argument: string): string {
  return /^[\w./:@%+=,-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}

/** The command that creates what the form would; steps count from 1 there. */
export function commandOf(draft: Draft, steps: TemplateStep[]): string {
  const models = Object.entries(fittingModels(draft, steps));
  const parts = [
    ...["paceline", "run", draft.template, draft.prompt],
    ...(draft.title.trim() ? ["--title", draft.title.trim()] : []),
    ...(draft.directory.trim() ? ["-C", draft.directory.trim()] : []),
    ...(draft.branch.trim() ? ["--branch", draft.branch.trim()] : []),
    ...models.flatMap(([index, model]) => ["-m", `${Number(index) + 1}=${model}`]),
  ];
  return parts.map(quote).join(" ");
}
