// One Function App on a Flex Consumption plan of its own: a plan holds one app.
param unique string
param location string
param tags object
@description('One of the `apps` of main.bicep.')
param app object
param nodeVersion string
param identityName string
param hostStorageAccountName string
param storageAccountName string
param serviceBusHost string
param insightsConnectionString string
param workspaceId string
@description('Empty: no private network.')
param subnetId string
param entraClientId string
param entraAllowedApplications array
param callbackSecretsUri string
param callbackSecretUri string
param outboundHeadersUri string
param outboundAllow string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource hostStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostStorageAccountName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${app.name}-${unique}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: 'func-${app.name}-${unique}'
  location: location
  // azd finds the app by this tag.
  tags: union(tags, { 'azd-service-name': app.name })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostStorage.properties.primaryEndpoints.blob}package-${app.name}'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identity.id }
        }
      }
      runtime: { name: 'node', version: nodeVersion }
      scaleAndConcurrency: {
        instanceMemoryMB: app.instanceMemoryMB
        maximumInstanceCount: app.maximumInstanceCount
        alwaysReady: app.alwaysReady
        triggers: { http: { perInstanceConcurrency: app.httpConcurrency } }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      // No ftpsState: Flex Consumption refuses it (ARM error 51021), and FTP is off by `noBasicAuth`.
      http20Enabled: true
      // An app that only works lanes has nothing to say to anybody; publishing goes to the scm site.
      ipSecurityRestrictionsDefaultAction: app.api ? 'Allow' : 'Deny'
      scmIpSecurityRestrictionsDefaultAction: 'Allow'
      scmIpSecurityRestrictionsUseMain: false
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: site
  name: 'appsettings'
  properties: union({
    AzureWebJobsStorage__blobServiceUri: hostStorage.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: hostStorage.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: hostStorage.properties.primaryEndpoints.table
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identity.properties.clientId
    // Records and files lie apart from the host's keys.
    DATA_BLOB_URI: storage.properties.primaryEndpoints.blob
    DATA_TABLE_URI: storage.properties.primaryEndpoints.table
    ServiceBus__fullyQualifiedNamespace: serviceBusHost
    ServiceBus__credential: 'managedidentity'
    ServiceBus__clientId: identity.properties.clientId
    // For the SDK clients in our own code.
    AZURE_CLIENT_ID: identity.properties.clientId
    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
    API: app.api ? 'on' : 'off'
    INBOX: 'events'
    LANES: join(app.lanes, ',')
    JOBS_AT_ONCE: string(app.jobsAtOnce)
    // host.json is of the package, so what differs between its apps is set here.
    AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls: string(app.maxConcurrentCalls)
    AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentSessions: string(app.maxConcurrentSessions)
    // host.json has what fits a broker on the same machine. Here a receive may take longer than that, and
    // a session would be given up though it holds messages.
    AzureFunctionsJobHost__extensions__serviceBus__sessionIdleTimeout: '00:00:00.500'
  }, empty(outboundAllow) ? {} : {
    OUTBOUND_ALLOW: outboundAllow
  }, empty(callbackSecretsUri) ? {} : {
    CALLBACK_SECRETS: '@Microsoft.KeyVault(SecretUri=${callbackSecretsUri})'
  }, empty(outboundHeadersUri) ? {} : {
    OUTBOUND_HEADERS: '@Microsoft.KeyVault(SecretUri=${outboundHeadersUri})'
  }, empty(callbackSecretUri) ? {} : {
    CALLBACK_SECRET: '@Microsoft.KeyVault(SecretUri=${callbackSecretUri})'
  })
}

resource noBasicAuth 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = [for kind in ['scm', 'ftp']: {
  parent: site
  name: kind
  properties: { allow: false }
}]

resource auth 'Microsoft.Web/sites/config@2025-03-01' = if (app.api && !empty(entraClientId)) {
  parent: site
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: true }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      excludedPaths: ['/api/health/live', '/api/health/ready']
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: entraClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [entraClientId, 'api://${entraClientId}']
          // A token for the audience can be had by any application of the tenant: these are let in.
          defaultAuthorizationPolicy: {
            allowedApplications: empty(entraAllowedApplications) ? [entraClientId] : entraAllowedApplications
          }
        }
      }
    }
    login: { tokenStore: { enabled: false } }
  }
  // One change of the site's configuration at a time.
  dependsOn: [settings]
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: site
  properties: {
    workspaceId: workspaceId
    // Its logs come by Application Insights already.
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

output name string = site.name
output hostName string = site.properties.defaultHostName
