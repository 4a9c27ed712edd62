// A Vault server with the engines and auth methods that the tests use: kv, pki, transit, approle and
// jwt from Vault's minimal build, the kubernetes auth method, the engines for AWS and databases, and
// storage on disk, so that a server can be stopped and started with its data.
package main

import (
	"os"

	"github.com/hashicorp/cli"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/builtin/logical/aws"
	"github.com/hashicorp/vault/builtin/logical/database"
	"github.com/hashicorp/vault/builtin/plugin"
	"github.com/hashicorp/vault/command"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/serviceregistration"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "server" {
		os.Exit(command.Run(os.Args[1:]))
	}
	ui := &cli.BasicUi{Reader: os.Stdin, Writer: os.Stdout, ErrorWriter: os.Stderr}
	server := &command.ServerCommand{
		BaseCommand:          &command.BaseCommand{UI: ui},
		AuditBackends:        map[string]audit.Factory{"file": audit.NewFileBackend},
		CredentialBackends:   map[string]logical.Factory{"plugin": plugin.Factory, "kubernetes": kubernetes.Factory},
		LogicalBackends:      map[string]logical.Factory{"plugin": plugin.Factory, "aws": aws.Factory, "database": database.Factory},
		PhysicalBackends:     map[string]physical.Factory{"file": file.NewFileBackend, "inmem": inmem.NewInmem},
		ServiceRegistrations: map[string]serviceregistration.Factory{},
		ShutdownCh:           command.MakeShutdownCh(),
		SighupCh:             command.MakeSighupCh(),
		SigUSR2Ch:            command.MakeSigUSR2Ch(),
	}
	os.Exit(server.Run(os.Args[2:]))
}
