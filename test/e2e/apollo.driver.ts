import { ApolloServer } from '@apollo/server';
import { Injectable } from '@nestjs/common';
import { AbstractGraphQLDriver, type GqlModuleOptions } from '@nestjs/graphql';
import type { GraphQLFormattedError } from 'graphql';

interface Query {
  readonly body: { readonly query: string };
}

/** Apollo's server behind POST /graphql of whatever HTTP platform, without its integration packages. */
@Injectable()
export class ApolloTestDriver extends AbstractGraphQLDriver {
  private server: ApolloServer<object> | undefined;

  async start(options: GqlModuleOptions): Promise<void> {
    const server = new ApolloServer<object>({ schema: options.schema! });
    this.server = server;
    await server.start();
    const { httpAdapter } = this.httpAdapterHost;
    httpAdapter.post('/graphql', async (request: Query, response: unknown) => {
      const { body } = await server.executeOperation(
        { query: request.body.query },
        { contextValue: { req: request } },
      );
      const answer = body.kind === 'single' ? body.singleResult : undefined;
      await httpAdapter.reply(response, answer, 200);
    });
  }

  async stop(): Promise<void> {
    await this.server?.stop();
  }
}

export interface GraphqlAnswer {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly GraphQLFormattedError[];
}

export async function queryOf(url: string, query: string): Promise<GraphqlAnswer> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  return (await response.json()) as GraphqlAnswer;
}
