// Reading diffs: Git's own, and the one that OpenCode shows before it changes a file.
import { expect, it } from "vitest";
import { DIFF_TEXT } from "@/test/fixtures";
import { filesOf } from "./diff-view";

const OF_ONE_FILE = `Index: src/a.py
===================================================================
--- src/a.py\t
+++ src/a.py\t
@@ -1,2 +1,2 @@
-old
+new
 same
`;

it("reads Git's diff", () => {
  expect(filesOf(DIFF_TEXT).map((file) => file.newPath)).toEqual(["tests/login/test_session.py"]);
});

it("reads OpenCode's diff of one file, with and without its preface", () => {
  for (const text of [OF_ONE_FILE, OF_ONE_FILE.split("\n").slice(2).join("\n")]) {
    const [file = expect.unreachable()] = filesOf(text);
    expect(file.newPath).toBe("src/a.py");
    expect(file.type).toBe("modify");
    expect(file.hunks.flatMap((hunk) => hunk.changes.map((change) => change.content))).toEqual(["old", "new", "same"]);
  }
});

it("has no files for what is no diff", () => {
  expect(filesOf("nothing of that kind")).toEqual([]);
});
