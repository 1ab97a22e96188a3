// A key of the keyboard, as a hint for the eye; the element around it carries the name.

export function Key({ children }: { children: string }) {
  return (
    <span className="key" aria-hidden="true">
      {children}
    </span>
  );
}
