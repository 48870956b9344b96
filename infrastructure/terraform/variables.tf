variable "docker_host" {
  description = "The engine: unix:///var/run/docker.sock, or ssh://user@host for a remote one."
  type        = string
  default     = "unix:///var/run/docker.sock"

  validation {
    condition     = can(regex("^(unix|ssh|tcp|npipe)://", var.docker_host))
    error_message = "docker_host must be a URL with unix://, ssh://, tcp:// or npipe://."
  }
}

variable "name" {
  description = "Prefix of every container, volume and network, so that several stacks fit on one engine."
  type        = string
  default     = "platform"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "name must have 1 to 31 characters of a-z, 0-9 and -, and begin with a letter."
  }
}

variable "image_prefix" {
  description = "Where the images of the programs are: registry.example.org/platform stands for registry.example.org/platform/gateway and so on."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._:/-]*[a-z0-9]$", var.image_prefix))
    error_message = "image_prefix must be the first part of an image name, without a final slash."
  }
}

variable "image_tag" {
  description = "Version of the programs. latest is refused: nobody could tell what runs, and nothing would be replaced."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "image_tag must be a tag other than latest."
  }
}

variable "images" {
  description = "Images of the other programs."
  type = object({
    postgres   = optional(string, "postgres:16.10-alpine")
    redis      = optional(string, "redis:7.4-alpine")
    prometheus = optional(string, "prom/prometheus:v2.55.1")
    grafana    = optional(string, "grafana/grafana:11.6.0")
  })
  default = {}

  validation {
    condition     = alltrue([for image in values(var.images) : can(regex(":[^/:]+$|@sha256:[0-9a-f]{64}$", image))])
    error_message = "Every image needs a tag or a digest."
  }
}

variable "secrets_dir" {
  description = "Folder of the secrets on the engine's machine, as an absolute path. scripts/secrets makes and checks it."
  type        = string

  validation {
    condition     = startswith(var.secrets_dir, "/")
    error_message = "secrets_dir must be an absolute path, because the engine mounts the files."
  }
}

variable "monitoring_dir" {
  description = "Folder monitoring/ of this repository on the engine's machine; unset = the one of this checkout."
  type        = string
  default     = null

  validation {
    condition     = var.monitoring_dir == null || startswith(coalesce(var.monitoring_dir, "/"), "/")
    error_message = "monitoring_dir must be an absolute path."
  }
}

variable "replicas" {
  description = "Instances of the services behind the gateway."
  type = object({
    service_api     = optional(number, 3)
    service_catalog = optional(number, 2)
  })
  default = {}

  validation {
    condition = alltrue([
      for count in values(var.replicas) : count >= 1 && count <= 20 && floor(count) == count
    ])
    error_message = "replicas must be whole numbers from 1 to 20."
  }
}

variable "ports" {
  description = "Ports of the engine's machine. Grafana's is on the loopback address unless monitoring_address says otherwise."
  type = object({
    http    = optional(number, 80)
    https   = optional(number, 443)
    grafana = optional(number, 3000)
  })
  default = {}

  validation {
    condition     = alltrue([for port in values(var.ports) : port >= 1 && port <= 65535 && floor(port) == port])
    error_message = "ports must be whole numbers from 1 to 65535."
  }

  validation {
    condition     = length(distinct(values(var.ports))) == length(values(var.ports))
    error_message = "ports must differ."
  }
}

variable "monitoring_address" {
  description = "Address on which Grafana is published."
  type        = string
  default     = "127.0.0.1"

  validation {
    condition     = can(cidrhost("${var.monitoring_address}/32", 0))
    error_message = "monitoring_address must be an IPv4 address."
  }
}

variable "log_level" {
  description = "Which events are logged: a level, or target=level separated by commas."
  type        = string
  default     = "info"

  validation {
    condition     = can(regex("^[a-z0-9_:=,]+$", var.log_level))
    error_message = "log_level must be such as info, or info,access=off."
  }
}

variable "memory_mib" {
  description = "Memory limits in MiB."
  type = object({
    gateway         = optional(number, 512)
    service_catalog = optional(number, 512)
    service_api     = optional(number, 128)
    postgres        = optional(number, 1024)
    redis           = optional(number, 512)
    prometheus      = optional(number, 1024)
    grafana         = optional(number, 512)
  })
  default = {}

  validation {
    condition     = alltrue([for limit in values(var.memory_mib) : limit >= 32])
    error_message = "No program runs with less than 32 MiB."
  }
}
