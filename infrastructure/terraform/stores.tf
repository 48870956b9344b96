# PostgreSQL and Redis. No port is published: only the catalogs speak with them.

resource "docker_container" "postgres" {
  name         = "${var.name}-postgres"
  image        = docker_image.other["postgres"].image_id
  restart      = "unless-stopped"
  memory       = var.memory_mib.postgres
  stop_timeout = 60
  log_driver   = local.log_driver
  log_opts     = local.log_opts
  wait         = true

  env = [
    "POSTGRES_USER=platform",
    "POSTGRES_DB=platform",
    "POSTGRES_PASSWORD_FILE=/run/secrets/postgres-password",
  ]

  healthcheck {
    test     = ["CMD", "pg_isready", "--quiet", "--host=127.0.0.1", "--username=platform", "--dbname=platform"]
    interval = "5s"
    timeout  = "5s"
    retries  = 12
  }

  volumes {
    volume_name    = docker_volume.data["postgres"].name
    container_path = "/var/lib/postgresql/data"
  }
  volumes {
    host_path      = "${var.secrets_dir}/postgres-password"
    container_path = "/run/secrets/postgres-password"
    read_only      = true
  }

  networks_advanced {
    name    = docker_network.platform.name
    aliases = ["postgres"]
  }
}

resource "docker_container" "redis" {
  name       = "${var.name}-redis"
  image      = docker_image.other["redis"].image_id
  restart    = "unless-stopped"
  memory     = var.memory_mib.redis
  log_driver = local.log_driver
  log_opts   = local.log_opts
  wait       = true

  # The password goes through a pipe, since a command line can be seen by everybody; an empty one would mean none.
  entrypoint = ["sh", "-c"]
  command = [<<-EOT
    [ -s /run/secrets/redis-password ] || { echo "error: the secret redis-password is empty" >&2; exit 1; }
    printf 'requirepass %s\n' "$(cat /run/secrets/redis-password)" |
      exec redis-server - --dir /data --appendonly yes --maxmemory 256mb --maxmemory-policy volatile-lru
  EOT
  ]

  healthcheck {
    test     = ["CMD-SHELL", "REDISCLI_AUTH=$(cat /run/secrets/redis-password) redis-cli ping | grep -q PONG"]
    interval = "5s"
    timeout  = "5s"
    retries  = 12
  }

  volumes {
    volume_name    = docker_volume.data["redis"].name
    container_path = "/data"
  }
  volumes {
    host_path      = "${var.secrets_dir}/redis-password"
    container_path = "/run/secrets/redis-password"
    read_only      = true
  }

  networks_advanced {
    name    = docker_network.platform.name
    aliases = ["redis"]
  }
}
