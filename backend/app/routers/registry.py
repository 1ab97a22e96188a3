"""Agents and templates, read from the registry files."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.errors import NotFound
from app.routers.deps import ServicesDep
from app.schemas.registry import AgentProfileDetail, AgentProfileResponse, TemplateResponse
from app.schemas.registry_errors import RegistryStatus
from app.schemas.system import AgentList, TemplateList

router = APIRouter(prefix="/registry", tags=["registry"])

Name = Annotated[str, Path(max_length=200)]


@router.get("/agents")
async def list_agents(services: ServicesDep) -> AgentList:
    """All agents, in file order."""
    config = await services.registry.current()
    return AgentList(items=[AgentProfileResponse.model_validate(agent) for agent in config.agents])


@router.get("/agents/{name}")
async def get_agent(name: Name, services: ServicesDep) -> AgentProfileDetail:
    """One agent with every field of its entry."""
    found = (await services.registry.current()).find_agent(name)
    if found is None:
        raise NotFound(f"There is no agent {name!r} in the registry.")
    return AgentProfileDetail.model_validate(found)


@router.get("/pipelines")
async def list_templates(services: ServicesDep) -> TemplateList:
    """All templates, in file order."""
    config = await services.registry.current()
    return TemplateList(items=[TemplateResponse.model_validate(template) for template in config.pipelines])


@router.get("/pipelines/{name}")
async def get_template(name: Name, services: ServicesDep) -> TemplateResponse:
    """One template with every field of its entry."""
    found = (await services.registry.current()).find_template(name)
    if found is None:
        raise NotFound(f"There is no template {name!r} in the registry.")
    return TemplateResponse.model_validate(found)


@router.get("/status")
async def get_registry_status(services: ServicesDep) -> RegistryStatus:
    """Which registry is in use and, with file, line and column, why the files on disk are not."""
    await services.registry.reload_if_changed()
    return services.registry.status
