DROP TABLE agent_request;
