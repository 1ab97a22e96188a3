// What an agent wrote, as Markdown: no raw HTML, no picture from elsewhere, hidden controls written out.
import { memo, type ReactNode } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import rehypeSanitize from "rehype-sanitize";
import remarkGfm from "remark-gfm";
import { showHidden } from "@/lib/visible";

interface Node {
  type: string;
  children?: Node[];
}

/** HTML in the text is shown as the text it is: a sanitizer alone would leave a hole where an agent wrote `<div>`. */
function htmlAsText() {
  const turn = (node: Node): void => {
    if (node.type === "html") node.type = "text";
    for (const child of node.children ?? []) turn(child);
  };
  return turn;
}

/** A heading of the text must not become one of the page. */
function Heading({ children }: { children?: ReactNode }) {
  return <p className="md-heading">{children}</p>;
}

const COMPONENTS: Components = {
  h1: Heading,
  h2: Heading,
  h3: Heading,
  h4: Heading,
  h5: Heading,
  h6: Heading,
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  ),
  img: ({ alt, src }) => (
    <span>
      [picture: {alt || "no description"}
      {typeof src === "string" ? `, ${src}` : ""}]
    </span>
  ),
  input: ({ checked }) => <span>{checked ? "☑ " : "☐ "}</span>,
};

/** Redraws only when the text changed: a log has many of these and one that grows. */
export const Markdown = memo(function Markdown({ text }: { text: string }) {
  return (
    <div className="prose">
      <ReactMarkdown remarkPlugins={[remarkGfm, htmlAsText]} rehypePlugins={[rehypeSanitize]} components={COMPONENTS}>
        {showHidden(text)}
      </ReactMarkdown>
    </div>
  );
});
