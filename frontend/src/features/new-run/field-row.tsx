// A labelled field with its error beneath it; names that were probably meant can be taken with a click.
import { cloneElement, type ReactElement, type ReactNode, useId } from "react";
import type { ProblemError } from "@/types/api";

interface FieldErrorProps {
  id?: string;
  error: ProblemError | undefined;
  onTake?: ((candidate: string) => void) | undefined;
}

/** The sentence of an error and its candidates; nothing without an error. */
export function FieldError({ id, error, onTake }: FieldErrorProps) {
  if (!error) return null;
  return (
    <p id={id} className="field-error" role="alert">
      {error.message}
      {onTake &&
        error.candidates?.map((candidate) => (
          <button key={candidate} type="button" className="btn-link mono" onClick={() => onTake(candidate)}>
            {candidate}
          </button>
        ))}
    </p>
  );
}

type Control = ReactElement<{
  id?: string;
  className?: string;
  "aria-invalid"?: boolean;
  "aria-describedby"?: string;
}>;

interface FieldRowProps {
  label: string;
  error: ProblemError | undefined;
  onTake?: (candidate: string) => void;
  hint?: ReactNode;
  className?: string;
  children: Control;
}

/** `children` is the one control; it gets its id and its relation to error and hint from here. */
export function FieldRow({ label, error, onTake, hint, className, children }: FieldRowProps) {
  const id = useId();
  return (
    <div className={className}>
      <label className="label" htmlFor={id}>
        {label}
      </label>
      {cloneElement(children, { id, "aria-invalid": error !== undefined, "aria-describedby": `${id}e ${id}h` })}
      <FieldError id={`${id}e`} error={error} onTake={onTake} />
      {hint && (
        <div id={`${id}h`} className="field-hint">
          {hint}
        </div>
      )}
    </div>
  );
}
