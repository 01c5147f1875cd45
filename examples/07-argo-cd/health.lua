-- Health of a TradingCluster. Without it, Argo CD says Healthy as soon as the object exists.
local function condition(name)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, each in ipairs(obj.status.conditions) do
      if each.type == name then return each end
    end
  end
  return {status = "Unknown", message = "the operator has not looked at it yet"}
end

local function health(status, message)
  return {status = status, message = message or ""}
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "it is being deleted")
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "the operator has not looked at this version yet")
end
local stalled, ready = condition("Stalled"), condition("Ready")
local paused, hibernated = condition("Paused"), condition("Hibernated")
if stalled.status == "True" then return health("Degraded", stalled.message) end
if hibernated.status == "True" then return health("Suspended", hibernated.message) end
if paused.status == "True" then return health("Suspended", paused.message) end
if ready.status ~= "True" then return health("Progressing", ready.message) end
return health("Healthy", "")
