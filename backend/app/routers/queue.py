"""The queue: what is at work, what waits, and whether steps may begin."""

from typing import Annotated

from fastapi import APIRouter, Body

from app.routers.deps import ActorDep, ServicesDep
from app.schemas.queue import PauseRequest, QueueResponse

router = APIRouter(prefix="/queue", tags=["queue"])


@router.get("")
async def get_queue(services: ServicesDep) -> QueueResponse:
    """Whether the queue is paused, how many steps are at work, and which runs wait for what."""
    return await services.run_queue.show()


@router.post("/pause")
async def pause_queue(
    services: ServicesDep, actor: ActorDep, body: Annotated[PauseRequest | None, Body()] = None
) -> QueueResponse:
    """Let no step begin from now on; those at work finish. A paused queue stays as it is, with its first reason."""
    await services.run_queue.pause(actor, body.reason if body else None)
    return await services.run_queue.show()


@router.post("/resume")
async def resume_queue(services: ServicesDep, actor: ActorDep) -> QueueResponse:
    """Let steps begin again, in the order in which their runs parked. Changes nothing when it is not paused."""
    await services.run_queue.resume(actor)
    return await services.run_queue.show()
