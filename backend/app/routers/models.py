"""Models that a step can run on."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.routers.deps import ServicesDep
from app.schemas.runtime import ModelEntry
from app.schemas.system import ModelList, ModelResponse
from app.schemas.text import StorableText

router = APIRouter(prefix="/models", tags=["models"])


@router.get("")
async def list_models(
    services: ServicesDep, working_dir: Annotated[StorableText | None, Query(max_length=4096)] = None
) -> ModelList:
    """What OpenCode lists for a directory: connected or why not, context, prices, where prompts go."""
    directory = services.working_dirs.resolve(working_dir) if working_dir else services.working_dirs.neutral()
    models = await services.runtime.list_models(directory)
    default = await services.runtime.default_model(directory)
    return ModelList(items=[_response(model) for model in models], default=default)


def _response(model: ModelEntry) -> ModelResponse:
    return ModelResponse(ref=model.ref, **model.model_dump())
