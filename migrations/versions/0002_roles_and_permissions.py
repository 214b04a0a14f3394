"""The five roles, every permission, who holds what from the start, and the system user."""

import sqlalchemy as sa
from alembic import op

revision = "0002_roles_and_permissions"
down_revision = "0001_schema"
branch_labels = None
depends_on = None

# name, display_name, description, level
ROLES = [
    ("super_admin", "Super Administrador", "Acceso total al sistema", 0),
    ("supervisor", "Supervisor", "Gestión de equipo y monitoreo", 1),
    ("agent", "Agente", "Atención de chats", 2),
    ("quality", "Calidad", "Evaluación de conversaciones", 3),
    ("audit", "Auditoría", "Solo lectura de logs", 4),
]

# The super_admin holds everything; a letter gives it to another role:
# s = supervisor, a = agent, q = quality, u = audit.
LETTERS = {"s": "supervisor", "a": "agent", "q": "quality", "u": "audit"}

# name, holders, display_name, description
# fmt: off
PERMISSIONS = [
    ("chats.read", "saq", "Ver chats", "Ver los chats propios y los que otros permisos abren."),
    ("chats.read_queue", "sa", "Ver chats en espera", "Ver los chats que esperan en las colas de sus campañas."),
    ("chats.read_all", "sq", "Ver todos los chats", "Ver todos los chats de sus campañas, también los de otras personas."),
    ("chats.reply", "a", "Responder chats", "Escribir a clientes y recibir chats asignados."),
    ("chats.start", "a", "Iniciar chats", "Escribir primero a un cliente con una plantilla."),
    ("chats.assign", "s", "Asignar chats", "Asignar o reasignar chats a cualquier agente de sus campañas."),
    ("chats.pick", "a", "Tomar chats", "Tomar un chat que espera en la cola."),
    ("chats.transfer", "sa", "Transferir chats", "Ofrecer un chat a otra persona o pasarlo a otra cola o campaña."),
    ("chats.close", "sa", "Cerrar chats", "Cerrar chats con su motivo y resultado."),
    ("chats.reopen", "sa", "Reabrir chats", "Reabrir un chat cerrado."),
    ("chats.peek", "sq", "Observar chats", "Abrir un chat ajeno sin marcarlo como leído."),
    ("chats.whisper", "s", "Susurrar al agente", "Escribir al agente sin que el cliente lo vea."),
    ("chats.export", "s", "Exportar chats", "Descargar conversaciones."),
    ("chats.delete", "", "Eliminar chats", "Retirar chats de prueba o spam de listas y métricas."),
    ("messages.retry", "sa", "Reintentar mensajes", "Enviar de nuevo un mensaje que falló."),
    ("messages.read_revoked", "sq", "Ver mensajes eliminados", "Ver el original de un mensaje que el cliente eliminó."),
    ("notes.create", "sa", "Escribir notas", "Agregar notas internas a un chat."),
    ("notes.delete", "s", "Eliminar notas", "Eliminar notas internas de otras personas."),
    ("clients.read", "saq", "Ver clientes", "Ver la ficha y la historia de los clientes."),
    ("clients.create", "sa", "Crear clientes", "Registrar clientes nuevos."),
    ("clients.update", "sa", "Editar clientes", "Cambiar los datos de un cliente."),
    ("clients.delete", "", "Eliminar clientes", "Retirar clientes de las listas."),
    ("clients.view_phone", "sa", "Ver teléfonos", "Ver completo el número de teléfono de los clientes."),
    ("clients.import", "s", "Importar clientes", "Cargar clientes desde CSV o XLSX."),
    ("clients.export", "s", "Exportar clientes", "Descargar la lista de clientes."),
    ("clients.merge", "s", "Unir clientes", "Unir fichas duplicadas y deshacer la unión."),
    ("clients.block", "s", "Bloquear clientes", "Bloquear o desbloquear a un cliente, con motivo."),
    ("clients.erase", "", "Borrar datos de clientes", "Anonimizar a un cliente que lo solicita."),
    ("tags.use", "sa", "Usar etiquetas", "Poner y quitar etiquetas existentes."),
    ("tags.manage", "s", "Administrar etiquetas", "Crear, cambiar y retirar etiquetas."),
    ("tasks.read", "sa", "Ver tareas", "Ver las tareas propias."),
    ("tasks.read_all", "s", "Ver todas las tareas", "Ver las tareas de las personas de sus campañas."),
    ("tasks.create", "sa", "Crear tareas", "Crear tareas y recordatorios."),
    ("tasks.update", "sa", "Editar tareas", "Cambiar, comentar y completar tareas."),
    ("tasks.delete", "s", "Eliminar tareas", "Eliminar tareas."),
    ("files.read", "saq", "Ver archivos", "Abrir archivos de los chats que puede ver."),
    ("files.upload", "sa", "Subir archivos", "Adjuntar archivos."),
    ("files.delete", "", "Eliminar archivos", "Eliminar archivos guardados."),
    ("quick_replies.use", "sa", "Usar respuestas rápidas", "Insertar respuestas rápidas."),
    ("quick_replies.manage_own", "sa", "Administrar respuestas propias", "Crear y cambiar sus respuestas rápidas personales."),
    ("quick_replies.manage", "s", "Administrar respuestas rápidas", "Crear y cambiar respuestas de campaña y globales."),
    ("templates.read", "sa", "Ver plantillas", "Ver las plantillas de mensajes."),
    ("templates.send", "sa", "Enviar plantillas", "Enviar plantillas aprobadas."),
    ("templates.manage", "", "Administrar plantillas", "Crear, enviar a aprobación y eliminar plantillas."),
    ("campaigns.read", "s", "Ver campañas", "Ver la configuración de las campañas."),
    ("campaigns.create", "", "Crear campañas", "Crear campañas de atención."),
    ("campaigns.update", "", "Editar campañas", "Cambiar horarios, SLA, textos y agentes de una campaña."),
    ("campaigns.delete", "", "Eliminar campañas", "Retirar campañas."),
    ("numbers.read", "s", "Ver números", "Ver los números de WhatsApp y su estado."),
    ("numbers.create", "", "Agregar números", "Agregar números de WhatsApp."),
    ("numbers.update", "", "Editar números", "Cambiar credenciales y límites de un número."),
    ("numbers.delete", "", "Eliminar números", "Retirar números de WhatsApp."),
    ("numbers.connect", "", "Conectar números", "Conectar, desconectar y probar un número."),
    ("queues.read", "s", "Ver colas", "Ver las colas de atención."),
    ("queues.create", "", "Crear colas", "Crear colas de atención."),
    ("queues.update", "s", "Editar colas", "Cambiar límites, prioridad y desbordamiento de una cola."),
    ("queues.delete", "", "Eliminar colas", "Eliminar colas de atención."),
    ("rules.read", "s", "Ver reglas", "Ver las reglas de enrutamiento."),
    ("rules.create", "", "Crear reglas", "Crear reglas de enrutamiento."),
    ("rules.update", "", "Editar reglas", "Cambiar y ordenar reglas de enrutamiento."),
    ("rules.delete", "", "Eliminar reglas", "Eliminar reglas de enrutamiento."),
    ("bots.read", "s", "Ver bots", "Ver los flujos de bot."),
    ("bots.create", "", "Crear bots", "Crear flujos de bot."),
    ("bots.update", "", "Editar bots", "Cambiar el borrador de un flujo."),
    ("bots.delete", "", "Eliminar bots", "Eliminar flujos que no están en uso."),
    ("bots.publish", "", "Publicar bots", "Publicar una versión de un flujo."),
    ("agents.set_own_status", "sa", "Cambiar su estado", "Cambiar el estado de disponibilidad propio."),
    ("agents.set_status", "s", "Cambiar estado de agentes", "Cambiar el estado y los límites de otros agentes."),
    ("board.read", "s", "Ver el tablero", "Ver el tablero en vivo."),
    ("reports.read", "sq", "Ver reportes", "Ver reportes e indicadores."),
    ("reports.export", "s", "Exportar reportes", "Descargar reportes en CSV y XLSX."),
    ("quality.read", "sq", "Ver evaluaciones", "Ver las evaluaciones de calidad."),
    ("quality.score", "q", "Evaluar conversaciones", "Calificar conversaciones."),
    ("users.read", "s", "Ver usuarios", "Ver las personas y su rol."),
    ("users.create", "", "Crear usuarios", "Crear cuentas."),
    ("users.update", "", "Editar usuarios", "Cambiar datos, rol y permisos de una cuenta."),
    ("users.delete", "", "Eliminar usuarios", "Retirar cuentas."),
    ("roles.read", "", "Ver roles", "Ver los roles y sus permisos."),
    ("roles.create", "", "Crear roles", "Crear roles propios."),
    ("roles.update", "", "Editar roles", "Cambiar los permisos de un rol."),
    ("roles.delete", "", "Eliminar roles", "Eliminar roles que nadie tiene."),
    ("sessions.read", "u", "Ver sesiones", "Ver las sesiones abiertas de otras personas."),
    ("sessions.revoke", "", "Cerrar sesiones", "Cerrar sesiones de otras personas."),
    ("audit.read", "u", "Ver auditoría", "Leer los registros de auditoría."),
    ("audit.export", "u", "Exportar auditoría", "Descargar los registros de auditoría."),
    ("webhooks.read", "u", "Ver eventos recibidos", "Ver lo que los proveedores enviaron."),
    ("webhooks.replay", "", "Reprocesar eventos", "Procesar de nuevo eventos que fallaron."),
    ("backups.read", "", "Ver copias de seguridad", "Ver las copias de seguridad y su verificación."),
    ("backups.create", "", "Crear copias de seguridad", "Iniciar una copia de seguridad."),
    ("backups.restore", "", "Restaurar copias", "Restaurar una copia de seguridad."),
    ("backups.download", "", "Descargar copias", "Descargar una copia de seguridad."),
    ("settings.read", "", "Ver configuración", "Ver la configuración de la instalación."),
    ("settings.update", "", "Cambiar configuración", "Cambiar la configuración de la instalación."),
]
# fmt: on


def upgrade() -> None:
    roles = sa.table(
        "roles",
        sa.column("name"),
        sa.column("display_name"),
        sa.column("description"),
        sa.column("level"),
        sa.column("is_system"),
    )
    op.bulk_insert(
        roles,
        [
            {
                "name": name,
                "display_name": display_name,
                "description": description,
                "level": level,
                "is_system": True,
            }
            for name, display_name, description, level in ROLES
        ],
    )
    permissions = sa.table(
        "permissions",
        sa.column("module"),
        sa.column("action"),
        sa.column("name"),
        sa.column("display_name"),
        sa.column("description"),
    )
    op.bulk_insert(
        permissions,
        [
            {
                "module": name.split(".")[0],
                "action": name.split(".")[1],
                "name": name,
                "display_name": display_name,
                "description": description,
            }
            for name, _, display_name, description in PERMISSIONS
        ],
    )
    give_permissions()
    create_system_user()


def give_permissions() -> None:
    pairs = [("super_admin", name) for name, *_ in PERMISSIONS]
    pairs += [(LETTERS[letter], name) for name, holders, *_ in PERMISSIONS for letter in holders]
    values = ", ".join(f"('{role}', '{name}')" for role, name in pairs)
    op.execute(
        f"""
        INSERT INTO role_permissions (role_id, permission_id)
        SELECT roles.id, permissions.id
        FROM (VALUES {values}) AS pair(role, permission)
        JOIN roles ON roles.name = pair.role
        JOIN permissions ON permissions.name = pair.permission
        """  # noqa: S608 - the values are the constants above
    )


def create_system_user() -> None:
    """The author of what nobody typed. No hash fits '!', it is inactive, and it is marked."""
    op.execute(
        """
        INSERT INTO users (email, password_hash, first_name, last_name, role_id, status,
                           is_system, auto_assign_enabled)
        SELECT 'system@localhost', '!', 'Sistema', '', id, 'inactive', TRUE, FALSE
        FROM roles WHERE name = 'audit'
        """
    )


def downgrade() -> None:
    op.execute("DELETE FROM users WHERE is_system")
    op.execute("DELETE FROM permissions")
    op.execute("DELETE FROM roles WHERE is_system")
