// An address below /ui/ that leads nowhere.
import { Link } from "@tanstack/react-router";
import { Empty } from "@/components/notice";

export function Lost() {
  return (
    <>
      <h1>Nothing here</h1>
      <Empty title="No page has this address.">
        <Link to="/runs" className="btn">
          To the runs
        </Link>
      </Empty>
    </>
  );
}
