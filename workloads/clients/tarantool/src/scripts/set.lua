local space = box.space[call.spaces[1]]
if call.f == 'add' then
    space:replace({call.key, call.value})
    return
end
local elements = {}
for _, tuple in space:pairs({call.key}) do table.insert(elements, tuple[2]) end
return elements
