// What is Longhaul's own: job records, schedules and notes in tables; inputs, results and files in blobs.
// The host's locks and keys and the apps' packages lie in another account (host-storage.bicep).
param accountName string
param location string
param tags object
param sku string
param retentionDays int
param private bool
@description('Who read, wrote and deleted what, in the workspace. A record of each call: it costs.')
param audit bool
param workspaceId string

// The names that packages/longhaul/src/app.ts and azure/blobs.ts use.
var containers = ['longhaul', 'inbox', 'undelivered-events']
var audited = ['StorageRead', 'StorageWrite', 'StorageDelete']
var tables = ['longhauljobs', 'longhaultombstones', 'longhaulnotes', 'longhaulschedules']

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: accountName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: { defaultAction: private ? 'Deny' : 'Allow', bypass: 'AzureServices' }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: { enabled: true, days: 7 }
    containerDeleteRetentionPolicy: { enabled: true, days: 7 }
  }
}

resource blobContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [for name in containers: {
  parent: blobs
  name: name
  properties: { publicAccess: 'None' }
}]

// The janitor removes what expired; this catches what was left behind.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'old-files'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['longhaul/', 'inbox/', 'undelivered-events/'] }
            actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: retentionDays } } }
          }
        }
      ]
    }
  }
  dependsOn: [blobs]
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource storedTables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' = [for name in tables: {
  parent: tableService
  name: name
}]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: account
  properties: {
    workspaceId: workspaceId
    metrics: [{ category: 'Transaction', enabled: true }]
  }
}

resource blobAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (audit) {
  name: 'audit'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [for category in audited: { category: category, enabled: true }]
  }
}

resource tableAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (audit) {
  name: 'audit'
  scope: tableService
  properties: {
    workspaceId: workspaceId
    logs: [for category in audited: { category: category, enabled: true }]
  }
}

output id string = account.id
output name string = account.name
