"""The ideas behind procedural rooms: shapes, materials, furniture, layout, light, camera path and ray casting."""
