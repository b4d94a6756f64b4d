local space = box.space[call.spaces[1]]
if call.f == 'enqueue' then
    local last = space.index.pk:max({call.key})
    space:insert({call.key, last == nil and 1 or last[2] + 1, call.value})
    return
end
local limit = call.f == 'dequeue' and 1 or nil
local taken = {}
for _, tuple in ipairs(space:select({call.key}, {limit = limit})) do
    space:delete({tuple[1], tuple[2]})
    table.insert(taken, tuple[3])
end
if call.f == 'dequeue' then return taken[1] end
return taken
