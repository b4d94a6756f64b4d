-- Makes the spaces of a run, once. Those of another run, or of other programs, are refused.
if box.info.ro then
    return {'refused', box.error.READONLY, 'this instance is read-only'}
end
local function make(definition)
    local name, mark = definition.name, 'dsfuzz:' .. definition.name
    local owner = box.space._schema:get(mark)
    if owner == nil and box.space[name] ~= nil then
        return {'no', 'exists', 'the space ' .. name .. ' exists and is not of dsfuzz'}
    end
    if owner ~= nil and owner[2] ~= call.run then
        return {'no', 'exists', 'the space ' .. name .. ' is of the run ' .. tostring(owner[2])}
    end
    box.space._schema:replace({mark, call.run})
    local options = {if_not_exists = true, engine = call.engine}
    -- Versions before 2.5 do not know the option.
    if call.sync then options.is_sync = true end
    local space = box.schema.space.create(name, options)
    space:create_index('pk', {if_not_exists = true, parts = definition.parts})
end
for _, definition in ipairs(call.definitions) do
    local refusal = make(definition)
    if refusal ~= nil then return refusal end
end
-- Two clients may set up at the same time; each row is made once.
local made, err = pcall(box.atomic, function()
    for _, row in ipairs(call.rows) do
        local space = box.space[row[1]]
        if space:get(row[2]) == nil then space:insert({row[2], row[3]}) end
    end
end)
if not made then return {'commit', type(err) == 'cdata' and err.code or 0, tostring(err)} end
return {'ok'}
