// The title of the browser's tab.
import { useEffect } from "react";

/** Shows `title` and the product's name while the page is there. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Paceline`;
  }, [title]);
}
