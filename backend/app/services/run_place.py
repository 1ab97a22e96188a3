"""Checks that a run may work where it wants to: the directory exists and git agrees about the branch."""

import os

from app.errors import BranchMismatch, InvalidBranch, WorkingDirMissing
from app.models import Pipeline
from app.services.ports import GitReader, GitState


async def check_place(git: GitReader, run: Pipeline) -> GitState:
    """The state of the run's directory; a failure names what changed since the run was created."""
    directory = run.directory.real_path
    if not os.path.isdir(directory):
        raise WorkingDirMissing(f"The directory {directory} is gone. Put it back, then restart the run.")
    state = await git.state(directory)
    check_branch(state, directory, run.branch)
    return state


def check_branch(state: GitState, directory: str, branch: str | None) -> None:
    """Refuse a branch for a directory that is no repository, or that is on another one."""
    if branch is None:
        return
    if not state.is_repository:
        why = f" ({state.problem})" if state.problem else ""
        raise InvalidBranch(f"{directory} is no git repository{why}, so the run cannot be on the branch {branch}.")
    if state.branch != branch:
        here = f"on {state.branch}" if state.branch else "on no branch (detached)"
        raise BranchMismatch(f"{directory} is {here}, not on {branch}. Check it out, or create the run without it.")
