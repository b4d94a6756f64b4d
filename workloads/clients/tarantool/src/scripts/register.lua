local space = box.space[call.spaces[1]]
local tuple = space:get(call.key)
local value, version = nil, 0
if tuple ~= nil then value, version = tuple[2], tuple[3] end
if call.f == 'read' then
    if call.versions then return {version, value == nil and box.NULL or value} end
    return value
end
local to = call.value
if call.f == 'cas' then
    if value ~= call.value[1] then return nil, 'precondition', 'it was ' .. tostring(value) end
    to = call.value[2]
end
space:replace({call.key, to, version + 1})
if call.versions then return version + 1 end
