// c15t's backend as peers_bench.py measures it, on Node's server of its own framework. Copied beside the packages it
// imports, and started there: node c15t_server.mjs PORT DATABASE. Its first line says that it listens.
import { serve } from '@hono/node-server'
import { c15tInstance } from '@c15t/backend'
import { kyselyAdapter } from '@c15t/backend/db/adapters/kysely'
import { migrator } from '@c15t/backend/db/migrator'
import { DB } from '@c15t/backend/db/schema'
import Database from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'

const [port, path] = process.argv.slice(2)
const database = new Database(path)
database.pragma('journal_mode = WAL')
database.pragma('synchronous = FULL') // what it answered is on the disk, as with the others
const adapter = kyselyAdapter({ db: new Kysely({ dialect: new SqliteDialect({ database }) }), provider: 'sqlite' })
const made = await migrator({ db: DB.client(adapter), schema: 'latest' })
if (made.execute) await made.execute()
const backend = c15tInstance({
  appName: 'bench',
  trustedOrigins: ['https://www.example.com'],
  adapter,
  logger: { level: 'error' },
})
serve({ fetch: backend.handler, port: Number(port), hostname: '127.0.0.1' }, () => console.log('listens'))
